"""Exact neighbours on many machines, by Dask.

Points are cut into partitions along the Hilbert curve, each of which lives on a worker as a tree of this library. A
query sees the partition that owns its place, and then, with the bound from there, those that can still matter.
Answers are those of one machine, bit for bit in the indices.

>>> from dask.distributed import Client
>>> import covertreex.dask
>>> client = Client()
>>> tree = covertreex.dask.cover_tree("points/", client=client)  # doctest: +SKIP
>>> indices, distances = tree.knn(10, return_distances=True)  # doctest: +SKIP

The extra ``dask`` installs what this needs: ``pip install covertreex[dask]``.
"""

from ._build import cover_tree
from ._tree import PartitionedTree, SearchReport, load

__all__ = ["PartitionedTree", "SearchReport", "cover_tree", "load"]
