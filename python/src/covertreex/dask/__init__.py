"""Exact neighbours on many machines, by Dask.

Points are divided along the Hilbert curve. Each partition is a tree of this library on a worker. A query first visits
the partition that contains its point, and then only the partitions that can have nearer neighbours. The indices equal
the indices of one machine, bit for bit.

>>> from dask.distributed import Client
>>> import covertreex.dask
>>> client = Client()
>>> build = covertreex.dask.cover_tree
>>> tree = build("points/", client=client)  # doctest: +SKIP
>>> indices = tree.knn(10)  # doctest: +SKIP

The extra ``dask`` installs what this needs: ``pip install covertreex[dask]``.
"""

from ._build import cover_tree
from ._tree import PartitionedTree, SearchReport, load
from ._vif import vif
from ._vif_fit import fit
from ._vif_model import PartitionedVIF

__all__ = ["PartitionedTree", "PartitionedVIF", "SearchReport", "cover_tree", "fit", "load", "vif"]
