"""Searches in partitions: limits, scores and upper indices of the library, cuts along the curve, outlines, rounds."""

import copy
import pickle

import numpy as np
import pytest
import residual_oracle

from covertreex import cover_tree
from covertreex._partitions import exchange
from covertreex._partitions.curve import Curve, positions
from covertreex._partitions.layout import Layout
from covertreex._partitions.outline import Needs, Outline, PointOutline
from covertreex._partitions.partition import Partition
from covertreex._partitions.queries import Queries
from covertreex._partitions.rounds import NearestBlock, WithinBlock
from covertreex.kernels import RBF, Matern12, Matern52

SHAPES = {
    "normal": lambda rng, n, dim: rng.standard_normal((n, dim)),
    "grid": lambda rng, n, dim: rng.integers(0, 7, (n, dim)) * 0.1,  # many ties, some of them only nearly so
    "duplicates": lambda rng, n, dim: np.repeat(rng.standard_normal((n // 10, dim)), 10, axis=0)[rng.permutation(n)],
    "one location": lambda rng, n, dim: np.full((n, dim), 0.25),
}


def squares(queries, points):
    """Squared distances in float64, shape (q, n)."""
    x, y = np.asarray(queries, np.float64), np.asarray(points, np.float64)
    return ((x[:, None] - y[None]) ** 2).sum(axis=2)


def cut(points, partition_count):
    """The curve through points and the partition of each."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    indices = np.arange(len(points))
    curve = Curve.cut(low, high, positions(points, low, high), indices, partition_count)
    return curve, curve.partitions(points, indices)


def in_partitions(points, partition_count, make):
    """Parts of points, and their layout."""
    curve, of = cut(points, partition_count)
    partitions = [
        Partition(np.flatnonzero(of == partition), make(points[of == partition]))
        for partition in range(partition_count)
    ]
    return partitions, Layout.of(curve, [partition.extent() for partition in partitions])


def drive(block, partitions, ask):
    """All rounds of a block."""
    while plan := block.plan():
        block.receive({number: ask(partitions[number], some) for number, some in plan.items()})
    return block.found


def own_nearest(partitions, layout, k, dtype, *, exclude_self=False, predecessors=False):
    """The neighbours of all points, and the traffic of all partitions."""
    n = sum(map(len, partitions))
    indices, distances, traffic = np.empty((n, k), np.int64), np.empty((n, k), dtype), []
    for home, partition in enumerate(partitions):
        own = partition.own()
        asked = Queries(own.rows, own.points, own.own if predecessors else None, own.own, own.features)
        block = NearestBlock(asked, layout, k, dtype, (home, partition))
        found = drive(block, partitions, lambda partition, some: partition.answer(some, k, exclude_self=exclude_self))
        indices[own.own], distances[own.own] = found.indices, found.distances
        traffic.append(block.traffic)
    return indices, distances, sum(traffic[1:], traffic[0])


# What the library has for partitions


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 6, 200])
@pytest.mark.parametrize("dim", [2, 3, 24])
def test_limits_upper_indices_and_scores(rng, dim, k, dtype):
    points = rng.standard_normal((900, dim)).astype(dtype)
    partition = Partition(np.arange(900), cover_tree(points))
    queries = rng.standard_normal((300, dim)).astype(dtype)
    true = squares(queries, points)
    before = rng.integers(0, 1000, 300)
    limits = np.quantile(true, 0.3, axis=1) * rng.random(300)
    limits[::7], limits[1::7] = np.inf, 0.0
    asked = Queries(np.arange(300), queries, before=before, limits=limits)
    found = partition.nearest(asked, k)
    counts = (np.arange(900)[None] < before[:, None]) & (true <= limits[:, None])
    for row in range(300):
        wanted = np.flatnonzero(counts[row])
        wanted = wanted[np.lexsort((wanted, true[row, wanted]))][:k]
        got = found.indices[row]
        assert (got[len(wanted) :] == -1).all()
        assert np.isinf(found.scores[row, len(wanted) :]).all()
        np.testing.assert_allclose(found.scores[row, : len(wanted)], true[row, wanted], rtol=1e-12)
        np.testing.assert_allclose(found.distances[row, : len(wanted)] ** 2, true[row, wanted], rtol=1e-5)
        assert (got[: len(wanted)] == wanted).all()


def test_a_limit_is_inclusive_and_a_score_is_it(rng):
    points = (rng.integers(0, 5, (400, 3)) * 0.1).astype(np.float32)
    partition = Partition(np.arange(400), cover_tree(points))
    asked = Queries(np.arange(400), points)
    whole = partition.nearest(asked, 20)
    again = partition.nearest(Queries(np.arange(400), points, limits=whole.scores[:, -1].copy()), 20)
    assert all((a == b).all() for a, b in zip(whole, again))
    below = partition.nearest(Queries(np.arange(400), points, limits=np.nextafter(whole.scores[:, -1], -1)), 20)
    assert (below.indices[:, -1] == -1).all()


def test_rejects_nan_in_limits(rng):
    partition = Partition(np.arange(5), cover_tree(rng.random((5, 2))))
    with pytest.raises(ValueError, match=r"limits\[1\]"):
        partition.nearest(Queries(np.arange(2), rng.random((2, 2)), limits=np.array([1.0, np.nan])), 2)


def test_lists_within_a_radius_have_scores(rng):
    points = rng.random((500, 3))
    partition = Partition(np.arange(500), cover_tree(points))
    found = partition.within(Queries(np.arange(500), points, before=np.arange(500)), 0.3)
    true = squares(points, points)
    for row in range(500):
        some = slice(found.offsets[row], found.offsets[row + 1])
        wanted = np.flatnonzero(true[row, :row] <= 0.09)
        assert set(found.indices[some]) == set(wanted)
        np.testing.assert_allclose(found.scores[some], np.sort(true[row, wanted]), rtol=1e-12)


@pytest.mark.parametrize("kernel", [RBF(), Matern52(lengthscale=[0.5, 1.0, 2.0]), Matern12()], ids=str)
def test_limits_and_known_features_in_the_residual_metric(rng, kernel):
    points = rng.standard_normal((1200, 3))
    tree = cover_tree(points, kernel=kernel, inducing_count=40)
    partition, new = Partition(np.arange(1200), tree), rng.standard_normal((200, 3))
    made = tree.features(new)
    indices, distances = tree.knn(9, queries=new, return_distances=True)
    found = partition.nearest(Queries(np.arange(200), new, features=made), 9)
    assert (found.indices == indices).all()
    assert (found.distances == distances).all()
    assert (found.scores == distances).all()
    limits = distances[:, 4].copy()
    limited = partition.nearest(Queries(np.arange(200), new, features=made, limits=limits), 9)
    within = distances <= limits[:, None]
    assert (limited.indices == np.where(within, indices, -1)).all()
    before = rng.integers(0, 1300, 200)
    early = partition.nearest(Queries(np.arange(200), new, before=before, features=made), 9)
    assert (early.indices == tree.knn(9, queries=new, before=before)).all()


def test_features_that_contradict_the_kernel_are_refused(rng):
    tree = cover_tree(rng.random((50, 2)), kernel=RBF(), inducing_count=5)
    new = rng.random((3, 2))
    v, p = tree.features(new)
    with pytest.raises(ValueError, match=r"residual_variance\[1\]"):
        Partition(np.arange(50), tree).nearest(Queries(np.arange(3), new, features=(v, p * [1, 3, 1])), 2)
    with pytest.raises(ValueError, match="v_matrix"):
        Partition(np.arange(50), tree).nearest(Queries(np.arange(3), new, features=(v[:, :4].copy(), p)), 2)


def test_other_points_of_the_same_process_have_the_same_features(rng):
    points = rng.standard_normal((700, 3))
    tree = cover_tree(points, kernel=Matern52(), inducing_count=60)
    rows = rng.choice(700, 333, replace=False)
    other = tree.with_points(points[rows])
    assert (other.v_matrix == tree.v_matrix[rows]).all()
    assert (other.residual_variance == tree.residual_variance[rows]).all()
    with pytest.raises(ValueError, match="columns"):
        tree.with_points(points[:, :2])
    given = cover_tree(points, kernel=Matern52(), v_matrix=tree.v_matrix, p_diag=tree.residual_variance)
    with pytest.raises(Exception, match="v_matrix"):
        given.with_points(points)


@pytest.mark.parametrize("tau", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("n", [2000, 6000])
def test_nothing_exceeds_the_bounds_of_an_outline(rng, n, tau):
    kernel = RBF(lengthscale=0.8)
    points, new = rng.standard_normal((n, 3)) + 1, rng.standard_normal((150, 3)) - 1.5
    tree = cover_tree(points, kernel=kernel, inducing_count=100)
    outlines = Outline.of(tree, tau)
    assert outlines
    v, p = residual_oracle.features(kernel, points, tree.inducing_points)
    made = residual_oracle.features(kernel, new, tree.inducing_points)
    rho, _ = residual_oracle.correlations(kernel, new, *made, points, v, p)
    bound = np.max([outline.largest(new, tree.features(new)) for outline in outlines], axis=0)
    assert (bound >= rho.max(axis=1) - 1e-9).all()
    assert bound.min() < 0.9  # it says something
    other = tree.with_points(new)
    faster = np.max([outline.largest_of(other, np.arange(150)) for outline in outlines], axis=0)
    assert (faster >= rho.max(axis=1) - 1e-9).all()
    restored = pickle.loads(pickle.dumps(outlines))
    again = np.max([outline.largest(new, tree.features(new)) for outline in restored], axis=0)
    assert (again == bound).all()


@pytest.mark.parametrize("kernel", [RBF(0.8), Matern52(0.6), Matern12(2.0)])
@pytest.mark.parametrize("n", [40, 1500])
def test_nothing_exceeds_the_bounds_of_outlined_points(rng, n, kernel):
    """Not of points of another outline, and not of new ones; with upper indices, and with a least |rho| of use."""
    points, new = rng.standard_normal((n, 3)), rng.standard_normal((150, 3)) - 1
    points[: n // 10] = points[n // 10 : n // 10 * 2]  # some are equal, and some are inducing points
    new[:20] = points[:20]
    tree = cover_tree(points, kernel=kernel, inducing_count=min(n, 100))
    indices = np.sort(rng.choice(3 * n, n, replace=False))
    outline = PointOutline.of(tree, indices)
    v, p = residual_oracle.features(kernel, points, tree.inducing_points)
    made = residual_oracle.features(kernel, new, tree.inducing_points)
    rho, _ = residual_oracle.correlations(kernel, new, *made, points, v, p)
    other = tree.with_points(new)
    own, order = PointOutline.of(other, np.arange(150)), other._model().arrays["block_order"]
    everywhere = np.argsort(order)
    for before, least in [
        (None, np.zeros(150)),
        (rng.integers(0, 3 * n, 150), np.zeros(150)),
        (None, np.full(150, 0.5)),
        (rng.integers(0, 3 * n, 150), 1.2 * rng.random(150)),
    ]:
        counts = np.ones((150, n), bool) if before is None else indices[None] < before[:, None]
        true = np.where(counts, np.abs(rho), 0).max(axis=1)
        needs = Needs(before, least)
        given = outline.largest(new, other.features(new), needs)
        faster = outline.largest_of(own, everywhere, needs)
        of_use = (true >= least) & (least <= 1)
        for bound in (given, faster):
            assert (bound >= true - 1e-9)[of_use].all()
            assert (bound <= 1).all()
        if n > 40 and before is None and not least.any() and kernel == RBF(0.8):
            assert np.median(given - true) < 0.1  # they are tight
            assert np.median(faster - true) < 0.2
        some = rng.permutation(150)[:30]
        part = Needs(None if before is None else before[some], least[some])
        # Where a bound is of no use, it depends on the other queries of a panel.
        same = outline.largest_of(own, everywhere[some], part) == faster[some]
        assert same[((faster >= least) & (least <= 1))[some]].all()
        restored, again = pickle.loads(pickle.dumps((outline, own)))
        assert (restored.largest_of(again, everywhere, needs) == faster).all()


# Cuts


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("partition_count", [2, 7, 64])
def test_partitions_are_equally_large(rng, shape, partition_count):
    _, of = cut(SHAPES[shape](rng, 6400, 3), partition_count)
    sizes = np.bincount(of, minlength=partition_count)
    assert sizes.max() <= 1.01 * 6400 / partition_count + 1
    assert sizes.min() >= 0.99 * 6400 / partition_count - 1


def test_positions_are_those_of_the_box(rng):
    points = rng.random((1000, 2))
    low, high = np.zeros(2), np.ones(2)
    keys = positions(points, low, high)
    assert len(np.unique(keys)) == 1000
    # What is outside is where the nearest of the box is, and neighbours along the curve are near each other.
    assert positions(np.array([[-5.0, -5.0]]), low, high) == positions(low[None], low, high)
    order = np.argsort(keys)
    steps = np.linalg.norm(np.diff(points[order], axis=0), axis=1)
    assert np.median(steps) < 2 / np.sqrt(1000)
    with pytest.raises(ValueError, match="low, high"):
        positions(points, high, low)


# Rounds


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("option", [None, "exclude_self", "predecessors"])
def test_partitions_find_the_neighbours_of_the_whole(rng, shape, dtype, option):
    points = SHAPES[shape](rng, 1000, 3).astype(dtype)
    options = {"exclude_self": option == "exclude_self"}
    whole = cover_tree(points).knn(7, return_distances=True, predecessor_mode=option == "predecessors", **options)
    partitions, layout = in_partitions(points, 6, cover_tree)
    indices, distances, traffic = own_nearest(
        partitions, layout, 7, dtype, predecessors=option == "predecessors", **options
    )
    assert (indices == whole[0]).all()
    assert (distances == whole[1]).all()
    assert 1 <= traffic.rounds <= 5


def test_more_neighbours_than_points(rng):
    points = rng.random((40, 2))
    partitions, layout = in_partitions(points, 4, cover_tree)
    indices, _, _ = own_nearest(partitions, layout, 50, np.float64)
    assert (indices == cover_tree(points).knn(50)).all()


@pytest.mark.parametrize("kernel", [RBF(), Matern52(lengthscale=[0.5, 1.0, 2.0]), Matern12()], ids=str)
@pytest.mark.parametrize("option", [None, "exclude_self", "predecessors"])
def test_partitions_find_the_neighbours_of_the_whole_in_the_residual_metric(rng, kernel, option):
    points = np.concatenate([rng.standard_normal((1400, 3)), np.repeat(rng.standard_normal((20, 3)), 5, axis=0)])
    tree = cover_tree(points, kernel=kernel, inducing_count=60)
    partitions, layout = in_partitions(points, 5, tree.with_points)
    options = {"exclude_self": option == "exclude_self"}
    whole = tree.knn(8, return_distances=True, predecessor_mode=option == "predecessors", **options)
    indices, distances, _ = own_nearest(
        partitions, layout, 8, np.float64, predecessors=option == "predecessors", **options
    )
    assert (indices == whole[0]).all()
    assert (distances == whole[1]).all()
    v, p = residual_oracle.features(kernel, points, tree.inducing_points)
    rho, _ = residual_oracle.correlations(kernel, points, v, p, points, v, p)
    np.testing.assert_allclose(
        np.where(indices < 0, np.inf, distances),
        np.where(indices < 0, np.inf, np.sqrt(1 - np.take_along_axis(rho, np.maximum(indices, 0), axis=1))),
        atol=2e-4,
    )


def test_far_partitions_are_left_alone(rng):
    centers = np.array([[0, 0, 0], [50, 0, 0], [0, 50, 0], [0, 0, 50]], np.float64)
    points = np.concatenate([center + rng.standard_normal((1500, 3)) for center in centers])
    for make, dtype in (
        (cover_tree, np.float64),
        (cover_tree(points, kernel=RBF(), inducing_count=30).with_points, np.float64),
    ):
        partitions, layout = in_partitions(points, 4, make)
        _, _, traffic = own_nearest(partitions, layout, 5, dtype)
        assert traffic.visits < 1.1 * len(points)


def test_equal_points_are_looked_for_where_their_indices_are_lowest():
    points = np.full((1600, 3), 0.5)
    partitions, layout = in_partitions(points, 16, cover_tree)
    indices, _, traffic = own_nearest(partitions, layout, 5, np.float64)
    assert (indices == np.arange(5)).all()
    assert traffic.visits <= 3 * 1600


def test_a_block_that_was_copied_goes_on_by_itself(rng):
    points = rng.random((500, 2))
    partitions, layout = in_partitions(points, 5, cover_tree)
    block = NearestBlock(Queries(np.arange(500), points), layout, 4, np.float64)
    other = block.copy()
    found = drive(block, partitions, lambda partition, some: partition.answer(some, 4))
    assert (other.found.indices == -1).all()
    assert (drive(other, partitions, lambda partition, some: partition.answer(some, 4)).indices == found.indices).all()
    within = WithinBlock(Queries(np.arange(500), points), layout, 0.1, np.float64)
    twin = within.copy()
    lists = drive(within, partitions, lambda partition, some: partition.within(some, 0.1))
    assert (drive(twin, partitions, lambda partition, some: partition.within(some, 0.1)).indices == lists.indices).all()
    assert (lists.indices == cover_tree(points).radius(0.1, queries=points).indices).all()


def test_questions_of_many_blocks_get_their_answers(rng):
    points = rng.random((600, 2))
    partitions, _ = in_partitions(points, 3, cover_tree)
    asked = []
    for block in range(4):
        for number in range(3):
            some = rng.choice(600, [0, 1, 40, 7][block], replace=False)
            limits, before = rng.random(len(some)) * 0.05, rng.integers(0, 600, len(some))
            asked.append((block, number, Queries(some, points[some], before, limits=limits)))
    for ask in (lambda part, some: part.answer(some, 3), lambda part, some: part.within(some, 0.2)):
        wanted = {(block, number): ask(partitions[number], some) for block, number, some in asked}
        joined = exchange.questions(asked)
        assert [one.partition for one in joined] == [0, 1, 2]
        for one in joined:
            for block, found in exchange.answers(one, ask(partitions[one.partition], one.queries)):
                pairs = zip(flat(found), flat(wanted.pop((block, one.partition))))
                assert all((a == b).all() for a, b in pairs)
        assert not wanted


def flat(answer):
    """The arrays of an answer."""
    return [array for one in answer for array in (one if isinstance(one, tuple) else (one,))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_partitions_that_are_left_out_have_nothing(rng, shape, dtype):
    """The bounds that are found coordinate by coordinate leave out no pair that a plain computation keeps."""
    points = SHAPES[shape](rng, 800, 4).astype(dtype)
    partitions, layout = in_partitions(points, 9, cover_tree)
    queries = rng.standard_normal((200, 4)).astype(dtype)
    nearest = np.array([squares(queries, part.points()).min(axis=1) for part in partitions]).T
    limits = nearest.min(axis=1) * rng.uniform(1, 3, 200)
    near = np.full((200, 9), np.inf)
    for number, rows, least in layout.near(queries, None, limits):
        near[rows, number] = least
    outside = np.maximum(np.maximum(layout.low - queries[:, None], queries[:, None] - layout.high), 0)
    boxes = (outside.astype(np.float64) ** 2).sum(axis=2)
    assert (np.isfinite(near) >= (nearest <= limits[:, None])).all()  # none that has something is left out
    assert (np.where(np.isfinite(near), near, 0) <= nearest).all()
    assert np.isinf(near[boxes > 1.000001 * limits[:, None]]).all()


def test_values_travel_with_a_partition(rng):
    points, values = rng.random((50, 2)), rng.random((50, 3))
    partition = Partition(np.arange(50), cover_tree(points), values)
    assert (pickle.loads(pickle.dumps(partition)).values == values).all()
    assert partition.__sizeof__() > Partition(np.arange(50), cover_tree(points)).__sizeof__()


def test_partitions_can_be_sent(rng):
    points = rng.random((200, 3)).astype(np.float32)
    partition = Partition(np.arange(0, 400, 2), cover_tree(points))
    other = pickle.loads(pickle.dumps(partition))
    assert (other.indices == partition.indices).all()
    assert (other.points() == points).all()
    assert (copy.copy(partition).nearest(partition.own(), 3).indices == other.nearest(other.own(), 3).indices).all()
