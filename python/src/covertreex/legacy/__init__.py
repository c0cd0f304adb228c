"""Names of covertreex 0.4.x, in terms of this package.

All older names live in this folder; the core does not use them. The modules at the old import paths
(``covertreex.api``, ``covertreex.engine``, ``covertreex.config``, ...) import from here.

A setting that has no meaning any more is accepted, and a :class:`LegacyWarning` says so. The page "From covertreex
0.4.x" lists what differs.
"""

from ._notices import LegacyWarning

__all__ = ["LegacyWarning"]
