"""Calls of every public function that reaches the library, with arguments, and with wrong ones that it refuses."""

import functools
import pickle
import tempfile
from pathlib import Path

import numpy as np

import covertreex
from covertreex import MappedTree, VectorStore, cover_tree, vecchia
from covertreex._partitions.outline import Needs, Outline
from covertreex._partitions.partition import Partition
from covertreex._partitions.queries import Queries
from covertreex.indexes import HNSW, BruteForce
from covertreex.kernels import RBF, Matern52
from covertreex.vecchia import _parts

ROWS = np.random.default_rng(3).standard_normal((300, 2))


# Arguments: functions that make an array, so that nothing but the call holds it.


def rows(dtype=np.float64, count=300):
    return lambda: ROWS[:count].astype(dtype)


def with_nan(dtype=np.float64, count=300):
    def make():
        array = ROWS[:count].astype(dtype)
        array[-1, -1] = np.nan
        return array

    return make


def numbers(*values):
    return lambda: np.array(values, np.int64)


SOME, OUTSIDE = numbers(3, 7), numbers(3, 1000)
# Ids for all rows, the second with one that is there; and for ten slots.
NEW, TAKEN = numbers(*range(1000, 1300)), numbers(*range(1000, 1299), 3)
NEW_FEW, TAKEN_FEW = numbers(*range(1000, 1010)), numbers(*range(1000, 1009), 3)
MASK, OTHER_MASK = (lambda: np.arange(300) % 2 == 0), (lambda: np.ones(299, bool))
LIMITS, WRONG_LIMITS = (lambda: np.linspace(0, 1, 300)), (lambda: np.linspace(1, -1, 300))
SINGLE, SINGLE_NAN = rows(np.float32), with_nan(np.float32)


# Objects for the calls. An interrupted call may have done its work, so the object that it changes is made again.


def tree(dtype=np.float64):
    return cover_tree(ROWS.astype(dtype))


def single():
    return tree(np.float32)


def manhattan(a, b):
    return np.abs(a[:, None] - b[None]).sum(-1)


def of_function():
    return cover_tree(ROWS, metric=manhattan)


def residual(**options):
    return cover_tree(ROWS, kernel=Matern52(0.4), inducing_count=20, **options)


def process(coords=ROWS, **options):
    return vecchia.VIF(coords, kernel=Matern52(0.4), noise=0.1, n_neighbors=4, n_inducing=9, **options)


def Y():
    return ROWS[:, 0].copy()


def given(coords, v, p):
    return lambda **options: cover_tree(coords, kernel=Matern52(0.4), v_matrix=v, p_diag=p, **options)


@functools.cache
def features():
    made = residual()
    return made.v_matrix, made.residual_variance


def index(kind=BruteForce):
    made = kind(2)
    made.add(None, ROWS)
    return made


def vectors():
    made = VectorStore(2)
    made.add_batch(range(300), ROWS)
    made.add_batch(["a", "b"], ROWS[:2] + 1)
    return made


def on_disk():
    return VectorStore.open(new(), 2, sync="off")


def over_store():
    vectors_of = vectors()
    made = BruteForce(vectors_of)
    made.add(range(100))
    return made


@functools.cache
def folder():
    return Path(tempfile.mkdtemp())


@functools.cache
def saved(make):
    path = folder() / make.__name__
    make().save(path)
    return path


@functools.cache
def stored():
    path = folder() / "stored"
    with VectorStore.open(path, 2) as made:
        made.add_batch(range(10), ROWS[:10])
        made.snapshot(folder() / "snapshot")
    return path


def new():
    """A path at which there is nothing."""
    return Path(tempfile.mkdtemp(dir=folder())) / "new"


def nowhere():
    return folder() / "missing" / "new"


def opened(path, sync="off"):
    with VectorStore.open(path, sync=sync) as made:
        return made.stats()


def in_partitions(coords, **options):
    return cover_tree(coords, folder=new(), partition_size=150, **options)


def mapped(**options):
    return in_partitions(ROWS, **options)


def partition():
    """One whose residual process has few degrees of freedom, so that outlines tell of it."""
    points = np.random.default_rng(4).standard_normal((2000, 2))
    return Partition(np.arange(2000), cover_tree(points, kernel=RBF(0.8), inducing_count=20))


def known(of, points):
    return Queries(np.arange(len(points)), points, features=of.tree.features(points))


def bounds(of):
    outline = Outline.of(of.tree)[0]
    outline.largest(ROWS, of.tree.features(ROWS))
    outline.largest_of(of.tree, np.arange(5))


def point_bounds(of):
    outline, needs = of.extent().outlines, Needs(np.full(len(ROWS), 900), np.zeros(len(ROWS)))
    outline.largest(ROWS, of.tree.features(ROWS), needs)
    outline.largest_of(outline, np.arange(len(ROWS)), needs)


def in_parts(coords):
    """A VIF model of one part, by both of its rounds, with other noise, and predictions."""
    ranks, none = np.arange(len(coords)), np.empty(0, np.int64)
    sets = np.stack([ranks - 1, np.where(ranks > 1, ranks - 2, -1)], axis=1)
    own = _parts.Observed(coords, np.ones((len(coords), 1)), None)
    part = _parts.Part(ranks, own, sets, none, own.some(none))
    for noise in (0.1, 0.2):
        lead = _parts.Lead(Matern52(0.4), noise, ROWS[:9], 1e-6, 2)
        totals = part.totals(lead.shared)
        lead.log_likelihood(totals, part.terms(lead.shared, totals, gradient=True))
    members = _parts.members(sets[:5])
    known = members, own.some(members)
    return _parts.predict(coords[:5], sets[:5], known, lead.shared, totals, variance=True)


def V():
    return features()[0].copy()


def P():
    return features()[1].copy()


def ONE():
    return np.ones(2, np.float32)


def ONE_NAN():
    return np.array([1, np.nan], np.float32)


def spoiled(make):
    def made():
        array = make()
        array.reshape(-1)[-1] = np.nan
        return array

    return made


# By name: what makes the object of a call, the call, its arguments, and wrong ones if the library can tell.
CALLS = {
    "cover_tree": (None, lambda _, x, **o: cover_tree(x, **o), [rows()], [with_nan()]),
    "cover_tree, float32": (None, lambda _, x, **o: cover_tree(x, **o), [rows(np.float32)], [with_nan(np.float32)]),
    "cover_tree in partitions": (None, lambda _, x, **o: in_partitions(x, **o), [rows()], [with_nan()]),
    "insert": (tree, lambda t, x, **o: t.insert(x, **o), [rows()], [with_nan()]),
    "insert, float32": (
        lambda: tree(np.float32), lambda t, x, **o: t.insert(x, **o), [rows(np.float32)], [with_nan(np.float32)],
    ),
    "remove": (tree, lambda t, i, **o: t.remove(i, **o), [SOME], [OUTSIDE]),
    "validate": (tree, lambda t, **o: t.validate(**o), [], None),
    "indices": (tree, lambda t: t.indices, [], None),
    "points": (tree, lambda t, some: t._points(some), [SOME], [OUTSIDE]),
    "export_arrays": (tree, lambda t: t.export_arrays().stale, [], None),
    "stats": (tree, lambda t: t.stats(), [], None),
    "knn": (tree, lambda t, q, **o: t.knn(3, queries=q, **o), [rows()], [with_nan()]),
    "knn, float32": (
        lambda: tree(np.float32), lambda t, q, **o: t.knn(3, queries=q, **o), [rows(np.float32)],
        [with_nan(np.float32)],
    ),
    "knn of few": (tree, lambda t, q: t.knn(3, queries=q), [rows(count=4)], [with_nan(count=4)]),
    "knn of points": (tree, lambda t, i, **o: t.knn(3, queries=i, **o), [SOME], [OUTSIDE]),
    "knn of points, float32": (lambda: tree(np.float32), lambda t, i, **o: t.knn(3, queries=i, **o), [SOME], [OUTSIDE]),
    "radius": (tree, lambda t, q, **o: t.radius(0.1, queries=q, **o), [rows()], [with_nan()]),
    "radius, float32": (
        lambda: tree(np.float32), lambda t, q, **o: t.radius(0.1, queries=q, **o), [rows(np.float32)],
        [with_nan(np.float32)],
    ),
    "radius of points": (tree, lambda t, i, **o: t.radius(0.1, queries=i, **o), [SOME], [OUTSIDE]),
    "counts": (tree, lambda t, q, **o: t.radius(0.1, queries=q, count_only=True, **o), [rows()], [with_nan()]),
    "counts, float32": (
        lambda: tree(np.float32), lambda t, q, **o: t.radius(0.1, queries=q, count_only=True, **o),
        [rows(np.float32)], [with_nan(np.float32)],
    ),
    "counts of points": (tree, lambda t, i, **o: t.radius(0.1, queries=i, count_only=True, **o), [SOME], [OUTSIDE]),
    "knn, filtered": (tree, lambda t, f, **o: t.knn(3, filter=f, **o), [MASK], [OTHER_MASK]),
    "knn, filtered float32": (single, lambda t, f, **o: t.knn(3, queries=ROWS, filter=f, **o), [MASK], [OTHER_MASK]),
    "knn, limited": (tree, lambda t, d, **o: t.knn(3, max_distance=d, **o), [LIMITS], [WRONG_LIMITS]),
    "radius, filtered": (tree, lambda t, f, **o: t.radius(0.1, filter=f, **o), [MASK], [OTHER_MASK]),
    "radii": (tree, lambda t, d, **o: t.radius(d, **o), [LIMITS], [WRONG_LIMITS]),
    "radii, float32": (single, lambda t, d, **o: t.radius(d, queries=ROWS, **o), [LIMITS], [WRONG_LIMITS]),
    "counts within radii": (tree, lambda t, d, **o: t.radius(d, count_only=True, **o), [LIMITS], [WRONG_LIMITS]),
    "graph": (tree, lambda t, **o: t.kneighbors_graph(3, mode="distance", **o), [], None),
    "pairs": (tree, lambda t, **o: t.pairs_within(0.1, return_distances=True, **o), [], None),
    "pairs of two trees": (tree, lambda t, **o: t.pairs_within(0.1, tree(np.float32), **o), [], None),
    "no pairs": (tree, lambda t, **o: t.pairs_within(-1, **o), [], []),
    "pair counts": (tree, lambda t, **o: t.count_pairs([0.1, 1], **o), [], None),
    "weighted pair counts": (
        tree, lambda t, w, **o: t.count_pairs([0.1, 1], weights=w, **o), [Y], [lambda: np.full(300, np.nan)],
    ),
    "spanning tree": (tree, lambda t, **o: t.minimum_spanning_tree(3, **o), [], None),
    "no spanning tree": (tree, lambda t, **o: t.minimum_spanning_tree(300, **o), [], []),
    "save": (tree, lambda t, **o: t.save(new(), **o), [], None),
    "save to nowhere": (tree, lambda t: t.save(nowhere()), [], []),
    "pickle": (tree, lambda t: pickle.loads(pickle.dumps(t)), [], None),
    "load": (None, lambda _, x, **o: covertreex.load(saved(tree), points=x, **o), [rows()], [with_nan()]),
    "load, float32": (
        None, lambda _, x, **o: covertreex.load(saved(single), points=x, **o), [rows(np.float32)],
        [with_nan(np.float32)],
    ),
    "tree of a function": (None, lambda _, x, **o: cover_tree(x, metric=manhattan, **o), [rows()], [with_nan()]),
    "load with a function": (
        None, lambda _, x, **o: covertreex.load(saved(of_function), metric=manhattan, points=x, **o), [rows()],
        [ROWS[::-1].copy],
    ),
    "load with another function": (
        None, lambda _: covertreex.load(saved(of_function), metric=lambda a, b: 2 * manhattan(a, b)), [], [],
    ),
    "residual tree": (
        None, lambda _, x, **o: cover_tree(x, kernel=Matern52(0.4), inducing_count=20, **o), [rows()], [with_nan()],
    ),
    "residual tree, inducing points": (
        None, lambda _, x, u, **o: cover_tree(x, kernel=Matern52(0.4), inducing_points=u, **o),
        [rows(), rows(count=9)], [rows(), with_nan(count=9)],
    ),
    "residual tree, k-means++": (
        None, lambda _, x: cover_tree(x, kernel=Matern52(0.4), inducing_points="kmeans++"), [rows()], [with_nan()],
    ),
    "residual tree, given": (
        None, lambda _, x, v, p, **o: given(x, v, p)(**o), [rows(), V, P], [rows(), spoiled(V), P],
    ),
    "residual tree, given p": (
        None, lambda _, x, v, p, **o: given(x, v, p)(**o), [rows(), V, P], [rows(), V, spoiled(P)],
    ),
    "residual tree, given float32": (
        None, lambda _, x, v, p, **o: given(x, v.astype(np.float32), p)(**o), [rows(), V, P], [rows(), spoiled(V), P],
    ),
    "features": (residual, lambda t, x: t.features(x), [rows()], [with_nan()]),
    "v_matrix": (residual, lambda t: t.v_matrix, [], None),
    "residual arrays": (residual, lambda t: t.export_arrays().stale, [], None),
    "residual arrays, own metric": (
        lambda: residual(cover_tree_metric="residual_correlation"), lambda t: t.export_arrays(), [], None,
    ),
    "residual validate": (
        lambda: residual(cover_tree_metric="residual_correlation"), lambda t, **o: t.validate(**o), [], None,
    ),
    "residual insert": (residual, lambda t, x, **o: t.insert(x, **o), [rows()], [with_nan()]),
    "residual remove": (residual, lambda t, i, **o: t.remove(i, **o), [SOME], [OUTSIDE]),
    "residual with_kernel": (
        residual, lambda t, u, **o: t.with_kernel(Matern52(1.0), inducing_points=u, **o), [rows(count=9)],
        [with_nan(count=9)],
    ),
    "residual refit": (
        residual, lambda t, u, **o: t.refit(Matern52(1.0), inducing_points=u, **o), [rows(count=9)],
        [with_nan(count=9)],
    ),
    "residual knn": (residual, lambda t, q, **o: t.knn(3, queries=q, **o), [rows()], [with_nan()]),
    "residual knn of points": (residual, lambda t, i, **o: t.knn(3, queries=i, **o), [SOME], [OUTSIDE]),
    "residual knn before": (
        residual, lambda t, i, b, **o: t.knn(3, queries=i, before=b, **o), [SOME, SOME], [OUTSIDE, SOME],
    ),
    "residual knn within": (
        residual, lambda t, q, **o: t.knn(3, queries=q, max_distance=0.5, **o), [rows()], [with_nan()],
    ),
    "residual knn, filtered": (residual, lambda t, f, **o: t.knn(3, filter=f, **o), [MASK], [OTHER_MASK]),
    "residual knn, limited": (residual, lambda t, d, **o: t.knn(3, max_distance=d, **o), [LIMITS], [WRONG_LIMITS]),
    "residual counts within radii": (
        residual, lambda t, d, **o: t.radius(d, count_only=True, **o), [LIMITS], [WRONG_LIMITS],
    ),
    "residual radius": (residual, lambda t, q, **o: t.radius(0.5, queries=q, **o), [rows()], [with_nan()]),
    "residual radius of points": (residual, lambda t, i, **o: t.radius(0.5, queries=i, **o), [SOME], [OUTSIDE]),
    "residual count": (
        residual, lambda t, q, **o: t.radius(0.5, queries=q, count_only=True, **o), [rows()], [with_nan()],
    ),
    "residual candidates": (residual, lambda t, i: t.knn(3, queries=i, candidates=5), [SOME], [OUTSIDE]),
    "conditioning sets": (
        residual, lambda t, x, **o: t.conditioning_sets(3, queries=x, cond="all", **o), [rows()], [with_nan()],
    ),
    "with_points": (residual, lambda t, x, **o: t.with_points(x, **o), [rows()], [with_nan()]),
    "residual save": (residual, lambda t, **o: t.save(new(), **o), [], None),
    "residual pickle": (residual, lambda t: pickle.loads(pickle.dumps(t)), [], None),
    "residual load": (None, lambda _, x, **o: covertreex.load(saved(residual), points=x, **o), [rows()], [with_nan()]),
    "find_duplicates": (residual, lambda t: t.find_duplicates(0.1), [], None),
    "VIF in parts": (None, lambda _, x: in_parts(x), [rows()], [with_nan()]),
    "ordering": (None, lambda _, x, **o: vecchia.ordering(x, **o), [rows()], [lambda: ROWS * 1e200]),
    "neighbors": (
        None, lambda _, x, **o: vecchia.neighbors(x, kernel=Matern52(0.4), m=3, **o), [rows()], [lambda: ROWS * 1e200],
    ),
    "VIF": (None, lambda _, x, **o: process(x, **o), [rows()], [with_nan()]),
    "VIF with_parameters": (process, lambda t: t.with_parameters(noise=0.2), [], None),
    "VIF refit": (process, lambda t, **o: t.refit(noise=0.2, **o), [], None),
    "VIF log_likelihood": (
        process, lambda t, y, **o: t.log_likelihood(y, eval_gradient=True, **o), [Y], [spoiled(Y)],
    ),
    "VIF solve": (process, lambda t, y: t.solve(y), [Y], [spoiled(Y)]),
    "VIF trend": (process, lambda t, y, x: t.trend(y, x), [Y, rows()], [Y, with_nan()]),
    "VIF leave_one_out": (process, lambda t, y, **o: t.leave_one_out(y, **o), [Y], [spoiled(Y)]),
    "VIF factor": (process, lambda t: (t.factor(), t.v_matrix, t.log_determinant), [], None),
    "VIF predict": (
        process, lambda t, y, x, **o: t.predict(x, y, return_var=True, **o), [Y, rows(count=9)],
        [Y, with_nan(count=9)],
    ),
    "VIF predict jointly": (
        process, lambda t, y, x, **o: t.predict(x, y, return_cov=True, **o), [Y, rows(count=9)],
        [Y, with_nan(count=9)],
    ),
    "VIF save": (process, lambda t, **o: t.save(new(), **o), [], None),
    "VIF pickle": (process, lambda t: pickle.loads(pickle.dumps(t)).log_determinant, [], None),
    "VIF load": (None, lambda _, x, **o: covertreex.load(saved(process), points=x, **o), [rows()], [with_nan()]),
    "VIF sample": (process, lambda t: t.sample(2, seed=0), [], None),
    "VIF sample of new points": (
        process, lambda t, y, x: t.sample(2, y=y, coords=x, seed=0), [Y, rows(count=9)], [Y, with_nan(count=9)],
    ),
    "partitions knn": (mapped, lambda t, q, **o: t.knn(3, queries=q, **o), [rows()], [with_nan()]),
    "partitions radius": (mapped, lambda t, q: t.radius(0.1, queries=q), [rows()], [with_nan()]),
    "partition of a residual tree": (partition, lambda t, q: t.nearest(known(t, q), 3), [rows()], None),
    "partition of a residual tree, bounds": (partition, bounds, [], None),
    "partition of a residual tree, bounds of points": (partition, point_bounds, [], None),
    "opened partitions": (None, lambda _: MappedTree(nowhere()), [], []),
    "index": (None, lambda _: HNSW(2), [], None),
    "index over a store": (vectors, BruteForce, [], None),
    "index add": (index, lambda t, i, x, **o: t.add(i, x, **o), [NEW, SINGLE], [NEW, SINGLE_NAN]),
    "index add, an id twice": (index, lambda t, i, x, **o: t.add(i, x, **o), [NEW, SINGLE], [TAKEN, SINGLE]),
    "index update": (index, lambda t, i, x, **o: t.update(i, x, **o), [numbers(*range(300)), SINGLE], [TAKEN, SINGLE]),
    "index add over": (
        over_store, lambda t, i, s, **o: t.add(i, slots=s, **o), [NEW_FEW, numbers(*range(150, 160))],
        [TAKEN_FEW, numbers(*range(150, 160))],
    ),
    "index update over": (
        over_store, lambda t, i, s, **o: t.update(i, slots=s, **o), [SOME, numbers(150, 151)],
        [OUTSIDE, numbers(150, 151)],
    ),
    "index remove": (index, lambda t, i: t.remove(i), [SOME], [OUTSIDE]),
    "index clear": (index, lambda t: t.clear(), [], None),
    "index rebuild": (index, lambda t, **o: t.rebuild(**o), [], None),
    "index optimize": (lambda: index(HNSW), lambda t: t.optimize(), [], None),
    "index knn": (index, lambda t, q, **o: t.knn(3, queries=q, **o), [rows(np.float32)], [with_nan(np.float32)]),
    "index radius": (
        index, lambda t, q, **o: t.radius(0.1, queries=q, **o), [rows(np.float32)], [with_nan(np.float32)],
    ),
    "index filter": (
        index, lambda t, q, f, **o: t.knn(3, queries=q, filter=f, **o), [rows(np.float32), SOME],
        [with_nan(np.float32), SOME],
    ),
    "index get": (index, lambda t, i: t.get(i), [SOME], [OUTSIDE]),
    "index contains": (index, lambda t: 3 in t, [], None),
    "index ids": (index, lambda t: t.ids, [], None),
    "index save": (index, lambda t, **o: t.save(new(), **o), [], None),
    "index pickle": (index, lambda t: pickle.loads(pickle.dumps(t)), [], None),
    "index load": (None, lambda _, **o: covertreex.indexes.load(saved(index), **o), [], None),
    "index load over": (
        vectors, lambda s: covertreex.indexes.load(saved(over_store), store=s), [], None,
    ),
    "store": (None, lambda _: VectorStore(2), [], None),
    "store open": (None, lambda _: opened(stored()), [], None),
    "store open nowhere": (None, lambda _: VectorStore.open(nowhere(), 2), [], []),
    "store restore": (None, lambda _, **o: VectorStore.restore(folder() / "snapshot", new(), **o), [], None),
    "store add": (vectors, lambda s, x: s.add("new", x), [ONE], [ONE_NAN]),
    "store add of an int": (vectors, lambda s, x: s.add(1000, x), [ONE], [ONE_NAN]),
    "store add_batch": (vectors, lambda s, i, x, **o: s.add_batch(i, x, **o), [NEW, SINGLE], [NEW, SINGLE_NAN]),
    "store on disk add_batch": (on_disk, lambda s, i, x, **o: s.add_batch(i, x, **o), [NEW, SINGLE], [NEW, SINGLE_NAN]),
    "store add_batch, an id twice": (
        vectors, lambda s, i, x, **o: s.add_batch(i, x, **o), [NEW, SINGLE], [TAKEN, SINGLE],
    ),
    "store remove": (vectors, lambda s, i: s.remove_batch(i), [SOME], [OUTSIDE]),
    "store slots": (vectors, lambda s, i: s.slots(i), [SOME], None),
    "store get_batch": (vectors, lambda s, i: s.get_batch(i), [SOME], [OUTSIDE]),
    "store get_slot": (vectors, lambda s: s.get_slot(1), [], None),
    "store items": (vectors, lambda s: list(s.items()), [], None),
    "store snapshot": (on_disk, lambda s, **o: s.snapshot(new(), **o), [], None),
    "store check": (vectors, lambda s, **o: s.check(**o), [], None),
    "store compact": (vectors, lambda s, **o: s.compact(**o), [], None),
}  # fmt: skip
