"""Names of older packages, in terms of this one.

All older names live in this folder; the core does not use them. The modules at the import paths of covertreex 0.4.x
(``covertreex.api``, ``covertreex.engine``, ``covertreex.config``, ...) import from here, and ``covertreex.compat``
exports the names of arrwDB.

A setting of covertreex 0.4.x that has no meaning any more is accepted, and a :class:`LegacyWarning` says so. The page
"From covertreex 0.4.x" lists what differs.
"""

from ._notices import LegacyWarning

__all__ = ["LegacyWarning"]
