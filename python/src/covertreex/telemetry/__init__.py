"""A record of the work and the time of each build, change and search.

Nothing is recorded by default. `record` records the calls of a block of code, and the settings
``diagnostics.enabled`` and ``diagnostics.log_file`` of a :class:`covertreex.Runtime` record all calls.

>>> import numpy as np
>>> from covertreex import cover_tree, telemetry
>>> points = np.random.default_rng(0).random((1000, 2))
>>> with telemetry.record() as log:
...     neighbors = cover_tree(points).knn(5)
>>> [(one.operation, one.rows) for one in log.records]
[('build', 1000), ('knn', 1000)]
>>> log.records[1].counts["exact"] + log.records[1].counts["pruned"]
1000000
"""

from .._telemetry import Log, Record, Summary, last_records, read, record, summarise
from ..legacy.benchmark_log import *
from ..legacy.benchmark_schemas import *
from ..legacy.reported_plans import *
from . import artifacts, logs, rust_bridge, schemas
from .artifacts import *

# Older names are not among these; see covertreex.legacy.
__all__ = ["Log", "Record", "Summary", "last_records", "read", "record", "summarise"]
