"""Names of covertreex 0.4.x, in terms of this package.

Everything older stands in this folder: the core knows nothing of it. Modules at the old import paths
(``covertreex.api``, ``covertreex.engine``, ``covertreex.config``, ...) only show what is here.

A setting that has no meaning any more is accepted, and a :class:`LegacyWarning` says so. The page "From covertreex
0.4.x" lists what differs.
"""

from ._notices import LegacyWarning

__all__ = ["LegacyWarning"]
