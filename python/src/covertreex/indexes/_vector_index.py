"""The base class of all vector indexes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _arguments, _arrays, _calls, _files
from .._calls import ProgressReport
from .._capi import indexes
from .._capi.structs import IndexSearchOptions
from .._exports.tree_arrays import Neighbors
from .._telemetry import recorded
from ..store import VectorStore, _ids
from ..store._ids import Ids
from ._options import METRICS, STORAGES, index_options, search_options

Self = TypeVar("Self", bound="VectorIndex")


@dataclass(frozen=True)
class IndexStats:
    """An index in numbers."""

    kind: str  #: name of the class
    n_vectors: int
    n_removed: int  #: removed vectors whose memory is not free yet
    dim: int
    metric: str
    storage: str
    memory_bytes: int
    comparisons: int  #: of vectors, since the index was made or loaded
    options: dict[str, Any]  #: of its kind


class VectorIndex(_calls.Closeable):
    """The base class of all indexes.

    Vectors are float32 of one dimension and have an *id* each, or several in any iterable, as in a
    :class:`covertreex.VectorStore`. Here an id may be any object that is hashable and no number, such as ``bytes``, or
    a tuple in a list. Text is always one id. While all ids are int64, results are arrays of int64; otherwise they are
    arrays of objects.

    Searches run in several threads at once, and with the GIL free; a change waits for them to end, and they for it. A
    change that fails leaves the index as it was.

    Distances ascend. ``"l2"`` is the Euclidean distance, ``"sqeuclidean"`` its square, ``"ip"`` the negative inner
    product, ``"cosine"`` one less the cosine; for that vectors are normalised when they come, and kept so.
    """

    _noun = "index"
    _functions: ClassVar = indexes
    _kind: ClassVar[int]
    _kinds: ClassVar[dict[int, type[VectorIndex]]] = {}
    #: Options of the library that are the kind's own, and options that a search may change.
    _own: ClassVar[tuple[str, ...]] = ()
    _tuning: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        VectorIndex._kinds[cls._kind] = cls

    def __init__(
        self,
        dim: int | VectorStore,
        metric: str,
        storage: str = "float32",
        rerank: bool = False,
        seed: int = 0,
        **own: int,
    ) -> None:
        super().__init__()
        options = index_options(self._kind, metric, storage=storage, rerank=rerank, seed=seed, own=own)
        store = dim if isinstance(dim, VectorStore) else None
        size = _arrays.integer(dim, "dim", minimum=1) if store is None else store.dim
        handle = None if store is None else store._open()
        self._adopt(indexes.create(size, handle, options))
        self._begin(_ids.Integers(), size, metric, store)

    def _begin(self, ids: Ids, dim: int, metric: str, store: VectorStore | None) -> None:
        self._ids, self._dim, self._metric, self._store = ids, dim, metric, store
        self._changing = threading.RLock()

    # Contents

    @property
    def dim(self) -> int:
        """Coordinates of a vector."""
        return self._dim

    @property
    def metric(self) -> str:
        """How distances are measured."""
        return self._metric

    @property
    def store(self) -> VectorStore | None:
        """The store that has the vectors; None for an index that has its own."""
        return self._store

    @property
    def ids(self) -> NDArray[Any]:
        """Ids of all vectors, in the order in which these were added."""
        with self._changing:
            return self._ids.names(self._keys())

    def __len__(self) -> int:
        return int(self._info().n_vectors)

    def __contains__(self, one: Any) -> bool:
        return self.contains(one)

    def contains(self, one: Any) -> bool:
        """Whether there is a vector with an id; false for a value that cannot be one."""
        try:
            given = _ids.gathered([one])
        except TypeError:
            given = []
        return self._has(self._ids.found(given))

    def get(self, ids: Any) -> NDArray[np.float32]:
        """Return the vector of an id, shape (dim,), or of several, shape (m, dim); KeyError for an unknown id."""
        is_one = _ids.is_one(ids)
        keys = self._ids.known(_ids.gathered(ids))
        with _ids.missing():
            vectors = indexes.get(self._open(), keys, self.dim)
        return vectors[0] if is_one else vectors

    def stats(self) -> IndexStats:
        """Return its kind and options, its memory, and the number of comparisons so far."""
        info = self._info()
        numbers = _calls.numbers_of(IndexStats, info)
        numbers["options"] = {name: getattr(info.options, name) for name in (*self._own, "seed")}
        storage = STORAGES[info.options.storage]
        return IndexStats(kind=type(self).__name__, metric=self.metric, storage=storage, **numbers)

    def __repr__(self) -> str:
        if self._handle is None:
            return f"{type(self).__name__}(closed)"
        return f"{type(self).__name__}(n_vectors={len(self)}, dim={self.dim}, metric={self.metric!r})"

    # Changes

    @recorded("insert")
    def add(
        self,
        ids: Any = None,
        vectors: ArrayLike | None = None,
        *,
        slots: ArrayLike | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> NDArray[Any]:
        """Add vectors, or nothing.

        Parameters
        ----------
        ids : None, an id, or m ids in order
            None of which the index has. None means the numbers that follow the largest id so far, where all are
            int64. Over a store, and without `slots`, they are ids that the store has, whose vectors are added; None for
            all that it has and the index has not.
        vectors : array_like, shape (dim,) or (m, dim)
            Converted to float32. Not over a store.
        slots : array_like of int, shape (m,), optional
            Slots of the index's store that have the vectors; the ids are the index's own.
        n_threads, progress
            As in :func:`covertreex.cover_tree`.

        Returns
        -------
        numpy.ndarray, shape (m,)
            The ids.

        Raises
        ------
        ValueError
            For an id that the index has, or that is there twice; for another number of vectors; for NaN or infinity.
        TypeError
            For a value that cannot be an id.
        KeyError, IndexError
            Over a store: for an id that it does not have; for a slot that is free, or has never been.
        """
        with self._changing:
            given, arriving = self._arriving(ids, vectors, slots)
            count, before = len(arriving), self._ids
            after, keys = self._naming(given, count)
            # Searches that see the new vectors find their ids.
            self._ids = after
            try:
                first = self._call(indexes.add, keys, arriving, n_threads=n_threads, progress=progress)
            except BaseException:
                # An interrupt may come when all is done.
                if keys is not None and not self._has(keys):
                    after.remove(keys)
                    self._ids = before
                raise
        return np.arange(first, first + count) if keys is None else after.names(keys)

    def _naming(self, given: _ids.Given | None, count: int) -> tuple[Ids, NDArray[np.int64] | None]:
        """The ids that the index has with new ones, and the numbers of these; None where the library gives them."""
        known = self._ids if len(self) else _ids.Integers()  # an empty index has no kind of ids
        if given is None:
            if not known.is_integral:
                raise ValueError(f"ids: expected {count} new ids, as this index has ids that are not numbers, got None")
            return known, None
        _same_length(given, count)
        after = known.accepting(given, self._keys)
        return after, after.add(given)

    def update(
        self,
        ids: Any,
        vectors: ArrayLike | None = None,
        *,
        slots: ArrayLike | None = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
    ) -> None:
        """Replace vectors, as :meth:`add`; they count as added last, and an unknown id raises KeyError.

        Over a store, and without `slots`, the new vectors are the current vectors of the ids in the store.
        """
        with self._changing:
            given = _ids.gathered(ids)
            keys = self._ids.known(given, distinct=True)
            _, arriving = self._arriving(given, vectors, slots)
            _same_length(keys, len(arriving))
            with _ids.missing():
                self._call(indexes.update, keys, arriving, n_threads=n_threads, progress=progress)

    def _arriving(
        self, ids: Any, vectors: ArrayLike | None, slots: ArrayLike | None
    ) -> tuple[_ids.Given | None, NDArray[Any]]:
        """Return ids, and the vectors or slots of a change."""
        given = None if ids is None else _ids.gathered(ids)
        if self._store is None:
            if vectors is None or slots is not None:
                raise TypeError("vectors: expected vectors and no slots, as this index is not over a store")
            return given, self._rows(vectors, "vectors")
        if vectors is not None:
            raise TypeError("vectors: this index is over a store; add them there, then their ids or slots here")
        if slots is None:
            if given is None:
                known = set(self.ids.tolist())
                given = _ids.gathered([one for one in self._store if one not in known])
            slots = self._store._known_slots(given)
        return given, self._store._in_use(np.atleast_1d(np.asarray(slots)))

    @recorded("remove")
    def remove(self, ids: Any) -> None:
        """Remove the vector of an id, or the vectors of several ids.

        KeyError for an unknown id, ValueError for one that is given twice; nothing is removed then.
        """
        with self._changing:
            keys = self._ids.known(_ids.gathered(ids, in_order=False), distinct=True)
            try:
                with _ids.missing():
                    self._call(indexes.remove, keys)
            except BaseException:
                # An interrupt may come when all is done.
                if not self._has(keys):
                    self._ids.remove(keys)
                raise
            else:
                self._ids.remove(keys)

    def clear(self) -> None:
        """Remove everything."""
        with self._changing:
            indexes.clear(self._open())
            self._ids = _ids.Integers()

    def rebuild(self, *, n_threads: int | None = None, progress: ProgressReport | None = None) -> None:
        """Build the structure again from the current vectors."""
        self._call(indexes.rebuild, n_threads=n_threads, progress=progress)

    # Searches

    @recorded("knn")
    def knn(
        self,
        k: int,
        *,
        queries: ArrayLike,
        filter: Any = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
        **tuning: Any,
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Find the ``k`` nearest vectors of each query.

        Parameters
        ----------
        k : int
            At least 1; it may exceed the number of vectors.
        queries : array_like, shape (q, dim)
            Converted to float32.
        filter : optional
            Which vectors may be found: an id, or several in any iterable (unknown ids are ignored); or, if ids are
            int64, a boolean array whose element ``id`` says so (ids beyond its end are left out).
        **tuning : int
            ``ef_search`` of an HNSW, ``n_probes`` or ``n_candidates`` of an LSH, for this search.

        Returns
        -------
        ids : numpy.ndarray, shape (q, k)
            By distance; of equally distant vectors the vector added earlier comes first. If there are fewer than ``k``,
            the rest is -1, or None if not all ids are int64.
        distances : numpy.ndarray of float32, shape (q, k)
            Infinity for missing vectors, so a vector whose id is -1 can be distinguished.
        """
        k = _arrays.integer(k, "k", minimum=1)
        rows, options, brief = self._asked(queries, filter, n_threads, tuning)
        keys, distances = indexes.search(self._open(), rows, k, options, progress=progress, brief=brief)
        return self._ids.names(keys), distances

    def knn_one(
        self, k: int, *, query: ArrayLike, filter: Any = None, n_threads: int | None = None, **tuning: Any
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Find the nearest vectors of one query, shape (dim,): as many as there are, at most ``k``."""
        row = _arrays.real_array(query, "query")
        if row.ndim != 1:
            raise ValueError(f"query: expected one dimension ({self.dim},), got shape {row.shape}")
        with _arguments.renamed(queries="query[]"):
            ids, distances = self.knn(k, queries=row[None], filter=filter, n_threads=n_threads, **tuning)
        found = int(np.isfinite(distances[0]).sum())
        return ids[0, :found], distances[0, :found]

    @recorded("radius")
    def radius(
        self,
        r: float,
        *,
        queries: ArrayLike,
        filter: Any = None,
        n_threads: int | None = None,
        progress: ProgressReport | None = None,
        **tuning: int,
    ) -> Neighbors:
        """Find vectors within a distance (inclusive) of each query; ``indices`` of the results are ids.

        All of them for :class:`BruteForce` and :class:`KDTree`; for the others, the vectors that a search reaches.
        """
        r = _arguments.number(r, "r")
        rows, options, brief = self._asked(queries, filter, n_threads, tuning)
        found = indexes.radius(self._open(), rows, r, options, progress=progress, brief=brief)
        return Neighbors(found.offsets, self._ids.names(found.indices), found.distances)

    # Files

    def save(self, path: _files.PathLike, *, progress: ProgressReport | None = None) -> None:
        """Write the index to a file, in one step, as :meth:`covertreex.CoverTree.save` does.

        Ids may be int, str, bytes or :class:`uuid.UUID`. Indexes can also be pickled and copied, except those over a
        store. Their files have slots, and hashes of the vectors there.
        """
        with self._changing:
            self._call(indexes.save, _arguments.path(path), self._ids.encoded(), progress=progress)

    @classmethod
    def load(
        cls: type[Self],
        path: _files.PathLike,
        *,
        store: VectorStore | None = None,
        mmap: bool = True,
        verify: bool = False,
        progress: ProgressReport | None = None,
    ) -> Self:
        """Open an index that :meth:`save` wrote. ValueError if it is not of this class.

        Parameters
        ----------
        store : VectorStore, optional
            For an index over a store: that store or a snapshot of it, with the same vectors in the same slots.
            ValueError if a slot is free, or has another vector now.
        path, mmap, verify, progress
            As for :func:`covertreex.load`.
        """
        path = _arguments.path(path)
        index = VectorIndex._of_file(_files.File.open(path, mmap=mmap, verify=verify, progress=progress), store)
        if not isinstance(index, cls):
            raise ValueError(f"path: {path}: expected a {cls.__name__}, got a {type(index).__name__}")
        return index

    @staticmethod
    def _of_file(file: _files.File, store: VectorStore | None = None) -> VectorIndex:
        if store is not None:
            _arguments.instance(store, "store", (VectorStore,))
        handle = None if store is None else store._open()
        try:
            owner = indexes.load(file.owner, handle, n_threads=_calls.threads(None))
        except IndexError as error:
            if store is None:
                raise
            raise ValueError(f"store: {error}") from None
        sections = file.sections("settings", *_ids.SECTIONS)
        kind = VectorIndex._kinds[int(sections["settings"][3])]
        index = kind._holding(owner)
        ids: Ids = _ids.Integers()
        if _ids.SECTIONS[0] in sections:
            ids = _ids.Names.decoded({**sections, **file.sections(*_ids.NUMBERS)})
        # Out of the settings, which the library has checked: to ask it would be to read the whole file.
        index._begin(ids, int(sections["settings"][0]), METRICS[sections["settings"][4]], store)
        return index

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._store is not None:
            raise TypeError("index: is over a store, and cannot be pickled or copied; save it")
        with self._changing:
            return _restored, (self._file().bytes, self._ids)

    def _file(self) -> _files.File:
        """The file in memory, without ids."""
        return _files.File(self._call(indexes.encode, {}))

    # Calls of the library

    def _keys(self) -> NDArray[np.int64]:
        """Numbers of all ids, in the order in which their vectors were added."""
        return indexes.ids(self._open(), len(self))

    def _has(self, keys: NDArray[np.int64]) -> bool:
        """True if there are numbers, and the library has the first."""
        return bool(len(keys) and indexes.contains(self._open(), keys[:1])[0])

    def _asked(
        self, queries: ArrayLike, filter: Any, n_threads: int | None, tuning: dict[str, Any]
    ) -> tuple[NDArray[np.float32], IndexSearchOptions, bool]:
        """Queries and options of a search, and whether it ends too soon to be interrupted."""
        rows = self._rows(queries, "queries", one=False)
        for name in tuning:
            if name not in self._tuning:
                raise TypeError(
                    f"{name}: {type(self).__name__} has no such parameter; expected {', '.join(self._tuning) or 'none'}"
                )
        return rows, search_options(filter, n_threads, tuning, self._ids), self._is_brief(rows)

    def _rows(self, values: ArrayLike, name: str, *, one: bool = True) -> NDArray[np.float32]:
        """Rows of float32; a single vector is one where `one`."""
        array = _arrays.array_of(values, name)
        if array.ndim == 1 and one:
            array = array[None]
        rows: NDArray[np.float32] = _arrays.points(
            array if array.ndim == 2 else values, name, dtype=np.dtype(np.float32)
        )
        if rows.shape[1] != self.dim:
            raise ValueError(f"{name}: expected {self.dim} columns, got {rows.shape[1]}")
        return rows

    def _is_brief(self, rows: NDArray[np.float32]) -> bool:
        return len(rows) < _calls.ROWS_WORTH_A_THREAD


def _restored(data: NDArray[np.uint8], ids: Ids) -> VectorIndex:
    index = VectorIndex._of_file(_files.File.copy(data))
    index._ids = ids
    return index


def _same_length(ids: _ids.Given, count: int) -> None:
    if len(ids) != count:
        raise ValueError(f"ids: expected {count}, one for each vector, got {len(ids)}")
