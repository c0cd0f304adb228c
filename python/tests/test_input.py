"""Whatever comes in, a right answer or an error that names it comes out."""

import numpy as np
import pytest
from oracle import assert_nearest

from covertreex import CoverTree, cover_tree, get_num_threads, set_num_threads


@pytest.fixture
def tree(rng):
    return cover_tree(rng.standard_normal((50, 3)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("position", [(0, 0), (1, 2), (999, 1)])
def test_rejects_nan_and_infinity(rng, bad, dtype, position):
    points = rng.standard_normal((1000, 3)).astype(dtype)
    good = cover_tree(points)
    points[position] = bad
    where = rf"\[{position[0]}, {position[1]}\]"
    with pytest.raises(ValueError, match="points" + where):
        cover_tree(points)
    with pytest.raises(ValueError, match="points" + where):
        good.insert(points)
    with pytest.raises(ValueError, match="queries" + where):
        good.knn(1, queries=points)
    with pytest.raises(ValueError, match="queries" + where):
        good.radius(1, queries=points)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (4,), (2, 2, 2), ()])
def test_shapes(tree, shape):
    values = np.zeros(shape)
    with pytest.raises(ValueError, match="points"):
        cover_tree(values)
    if shape != (0, 3):
        with pytest.raises(ValueError, match="queries"):
            tree.knn(1, queries=values)


def test_no_queries(tree):
    assert tree.knn(4, queries=np.empty((0, 3))).shape == (0, 4)
    assert tree.knn(4, queries=np.empty(0, int)).shape == (0, 4)
    assert tree.radius(1.0, queries=np.empty((0, 3))).offsets.tolist() == [0]


@pytest.mark.parametrize(
    "values", [[["a", "b"]], [[1j, 2]], np.array([[1, None]], object), np.zeros((2, 2), "datetime64[s]")]
)
def test_rejects_types_other_than_numbers(tree, values):
    with pytest.raises(TypeError, match="points"):
        cover_tree(values)
    with pytest.raises(TypeError, match="queries"):
        tree.knn(1, queries=values)


@pytest.mark.parametrize("k", [0, -1])
def test_k_out_of_range(tree, k):
    with pytest.raises(ValueError, match=f"k: .*{k}"):
        tree.knn(k)


@pytest.mark.parametrize("k", [1.5, "3", None, True])
def test_k_of_another_type(tree, k):
    with pytest.raises(TypeError, match="k: "):
        tree.knn(k)


def test_k_beyond_the_number_of_points_is_padded(tree):
    indices, found = tree.knn(80, return_distances=True)
    assert (indices[:, 50:] == -1).all() and np.isinf(found[:, 50:]).all()
    assert (np.sort(indices[:, :50]) == np.arange(50)).all()


def test_results_too_large_for_memory(tree):
    with pytest.raises((MemoryError, ValueError)):
        tree.knn(2**58)


@pytest.mark.parametrize("radius", [-1.0, -np.inf, np.nan])
def test_radius_out_of_range(tree, radius):
    with pytest.raises(ValueError, match="r: "):
        tree.radius(radius)
    with pytest.raises(ValueError, match="max_distance: "):
        tree.knn(1, max_distance=radius)


def test_radius_without_end_and_of_zero(tree):
    assert (tree.radius(np.inf, count_only=True) == 50).all()
    assert (tree.radius(0, count_only=True) == 1).all()
    assert (tree.knn(2, max_distance=0) == np.stack([np.arange(50), np.full(50, -1)], 1)).all()
    with pytest.raises(TypeError, match="r: "):
        tree.radius("near")


def test_dimensions_that_differ(tree):
    with pytest.raises(ValueError, match="queries: expected 3 columns, got 2"):
        tree.knn(1, queries=np.zeros((4, 2)))
    with pytest.raises(ValueError, match="points: expected 3 columns, got 4"):
        tree.insert(np.zeros((4, 4)))


@pytest.mark.parametrize("queries", [[50], [-1], [0, 1, 2**40]])
def test_indices_out_of_range(tree, queries):
    with pytest.raises(IndexError, match=f"no point {queries[-1]}"):
        tree.knn(1, queries=queries)


def test_predecessors_and_self_need_points_of_the_tree(tree):
    for option in ({"predecessor_mode": True}, {"exclude_self": True}):
        with pytest.raises(ValueError, match=next(iter(option))):
            tree.knn(1, queries=np.zeros((1, 3)), **option)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("metric", "taxicab"),
        ("engine", "cuda"),
        ("order", "sorted"),
        ("leaf_size", 0),
        ("leaf_size", 65537),
        ("seed", -1),
        ("seed", 2**64),
        ("n_threads", 0),
        ("n_threads", 5000),
    ],
)
def test_options_out_of_range(option, value):
    with pytest.raises(ValueError, match=option):
        cover_tree(np.zeros((3, 2)), **{option: value})


def test_engines_of_the_old_package(rng):
    pytest.importorskip("numba", reason="one of them needs numba")
    points = rng.standard_normal((300, 3))
    expected = cover_tree(points).knn(6)
    for engine, order in (("rust-hilbert", "hilbert"), ("rust-natural", "natural"), ("python-numba", "hilbert")):
        tree = cover_tree(points, engine=engine)
        assert tree.order == order
        assert (tree.knn(6) == expected).all()
    with pytest.raises(ValueError, match="means the order"):
        cover_tree(points, engine="rust-natural", order="hilbert")


LAYOUTS = {
    "fortran": np.asfortranarray,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "columns": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "rows": lambda x: np.repeat(x, 3, axis=0)[::3],
    "padded": lambda x: np.concatenate([x, x], axis=1)[:, : x.shape[1]],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "unaligned": lambda x: np.frombuffer(b"0" + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
    "list": lambda x: x.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts(rng, layout, dtype):
    points = rng.standard_normal((200, 3)).astype(dtype)
    queries = rng.standard_normal((30, 3)).astype(dtype)
    expected = cover_tree(points).knn(8, queries=queries)
    tree = cover_tree(LAYOUTS[layout](points))
    assert (tree.knn(8, queries=LAYOUTS[layout](queries)) == expected).all()


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint16, np.int64, np.bool_, np.longdouble])
def test_types_that_are_converted(rng, dtype):
    points = (3 * rng.standard_normal((100, 3))).astype(dtype)
    tree = cover_tree(points)
    assert tree.dtype == (np.float32 if dtype is np.float16 else np.float64)
    assert_nearest(points.astype(np.float64), points.astype(np.float64), 4, tree.knn(4, queries=points))


def test_input_is_left_alone_and_not_copied(rng):
    points = rng.standard_normal((100, 3))
    before = points.copy()
    tree = cover_tree(points)
    assert (points == before).all()
    points[:] = 0  # the tree has its own
    assert_nearest(before, before, 3, tree.knn(3))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_points(n):
    points = np.arange(n, dtype=np.float32)[:, None]
    tree = cover_tree(points)
    tree.validate()
    assert_nearest(points, points, 4, tree.knn(4))
    assert (tree.knn(2, exclude_self=True)[:, 1] == -1).all() or n > 2
    assert tree.knn(1, predecessor_mode=True)[0, 0] == -1


def test_points_all_equal():
    points = np.full((5000, 4), 2.5)
    tree = cover_tree(points)
    tree.validate()
    assert tree.stats().n_duplicates == 4999
    assert (tree.knn(3) == [0, 1, 2]).all()
    assert tree.knn(2, exclude_self=True)[0].tolist() == [1, 2]
    assert tree.knn(2, predecessor_mode=True)[1].tolist() == [0, -1]


def test_coordinates_too_large_to_square():
    with pytest.raises(ValueError, match=r"points\[1, 0\].*rescale"):
        cover_tree([[0.0], [1e200]])


def test_a_closed_tree(tree):
    with tree as same:
        assert same is tree
    assert repr(tree) == "CoverTree(closed)"
    for call in (lambda: tree.knn(1), lambda: tree.n_points, lambda: tree.insert([[0.0, 0, 0]]), tree.validate):
        with pytest.raises(ValueError, match="closed"):
            call()
    tree.close()


def test_properties_of_a_tree(tree):
    assert repr(tree) == "CoverTree(n_points=50, dim=3, dtype=float64, metric='euclidean', order='hilbert')"
    assert (len(tree), tree.n_points, tree.dim) == (50, 50, 3)
    assert tree.build_time > 0
    stats = tree.stats()
    assert sum(stats.levels.values()) + stats.n_duplicates == 50
    assert stats.root_level == max(stats.levels)
    assert stats.distance_evaluations > 0 and stats.conflict_rounds > 0 and stats.levels_entered > 0
    assert stats.queries == 0
    tree.knn(1)
    assert tree.stats().queries == 50
    assert isinstance(tree, CoverTree)


def test_number_of_threads():
    before = get_num_threads()
    set_num_threads(3)
    assert get_num_threads() == 3
    set_num_threads(0)
    assert get_num_threads() == before
    with pytest.raises(ValueError, match="n_threads"):
        set_num_threads(-1)
