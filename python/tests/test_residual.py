"""Residual-correlation neighbours against brute force in float64."""

import numpy as np
import pytest
import residual_oracle as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from covertreex import ResidualCoverTree, Runtime, cover_tree, residual_tree, runtime
from covertreex.kernels import RBF, Matern12, Matern32, Matern52

KERNELS = (RBF, Matern12, Matern32, Matern52)


def check(tree, points, kernel, k, rows=None, *, predecessor_mode=False, exclude_self=False, v=None, p=None, slack=0.0):
    """`knn` of some points, or all, is what the oracle finds with features of its own."""
    if v is None:
        v, p = oracle.features(kernel, points, tree.inducing_points)
    queries = np.arange(len(points)) if rows is None else np.asarray(rows)
    found, distances = tree.knn(
        k, queries=rows, return_distances=True, predecessor_mode=predecessor_mode, exclude_self=exclude_self
    )
    rho, norms = oracle.correlations(kernel, points[queries], v[queries], p[queries], points, v, p)
    rho[np.arange(len(queries)), queries] = 1
    allowed = oracle.predecessors(queries, len(points)) if predecessor_mode else np.ones(rho.shape, bool)
    if exclude_self:
        allowed[np.arange(len(queries)), queries] = False
    oracle.assert_nearest(
        rho, norms, k, found, distances, allowed, variance=kernel.variance, slack=slack, in_space=v.shape[1] == 0
    )
    return found, distances


@st.composite
def problems(draw):
    n = draw(st.integers(1, 900))
    dim = draw(st.sampled_from([1, 2, 3, 8]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["normal", "clustered", "duplicates", "line"]))
    x = rng.standard_normal((n, dim))
    if kind == "clustered":
        x = rng.integers(0, 4, (n, 1)) * 3.0 + 0.1 * x
    elif kind == "duplicates":
        x = x[rng.integers(0, max(1, n // 2), n)]
    elif kind == "line":
        x = rng.standard_normal((n, 1)) * rng.standard_normal((1, dim))
    ard = draw(st.booleans())
    lengthscale = rng.uniform(0.3, 3, dim) if ard else float(rng.uniform(0.3, 3))
    kernel = draw(st.sampled_from(KERNELS))(lengthscale=lengthscale, variance=draw(st.sampled_from([0.01, 1.0, 7.0])))
    m = draw(st.sampled_from([0, 1, 5, 32, 100, n]))
    return x, kernel, min(m, n)


@settings(max_examples=80)
@given(problems(), st.sampled_from([1, 10, 50, 2000]), st.booleans(), st.booleans())
def test_equals_brute_force(problem, k, predecessor_mode, exclude_self):
    points, kernel, m = problem
    tree = cover_tree(points, kernel=kernel, inducing_count=m)
    rows = np.random.default_rng(len(points)).integers(0, len(points), 40)
    check(tree, points, kernel, k, rows, predecessor_mode=predecessor_mode, exclude_self=exclude_self)


@pytest.mark.parametrize("kernel", [RBF(0.7), Matern12(0.8), Matern32([0.5, 1, 2]), Matern52(2.0, 3.0)])
@pytest.mark.parametrize("predecessor_mode", [False, True])
def test_through_skeletons(rng, kernel, predecessor_mode):
    points = rng.standard_normal((12_000, 3))
    tree = cover_tree(points, kernel=kernel, inducing_count=96)
    rows = rng.choice(len(points), 150, replace=False)
    check(tree, points, kernel, 30, rows, predecessor_mode=predecessor_mode)
    if isinstance(kernel, (RBF, Matern52)):  # the others are too rough for skeletons
        stats = tree.stats()
        assert stats.n_pivots > 0
        assert stats.blocks_estimated > 0


def uniform(rng, n, dim):
    return rng.random((n, dim)) * n ** (1 / dim)


def raster(rng, n, dim):
    side = round(n ** (1 / dim))
    return rng.permutation(np.stack(np.meshgrid(*[np.arange(side)] * dim), -1).reshape(-1, dim)).astype(float)


def cities(rng, n, dim):
    centres = rng.random((n // 100, dim)) * n ** (1 / dim)
    return centres[rng.integers(0, len(centres), n)] + rng.standard_normal((n, dim))


def track(rng, n, dim):
    """A curve that crosses the domain many times, in the order of time."""
    t = np.arange(n) / n
    return n ** (1 / dim) * np.stack([(1 + np.sin(2 * np.pi * (31 + 17 * d) * t)) / 2 for d in range(dim)], axis=1)


@pytest.mark.parametrize("layout, dim, kernel", [
    (uniform, 2, RBF(0.3)), (raster, 2, RBF(3.0)), (cities, 2, Matern12(1.0)), (track, 2, Matern32(5.0)),
    (raster, 3, Matern52(0.3)), (uniform, 2, Matern52(2.0, 7.0)), (cities, 2, Matern52(10.0)),
    (track, 3, Matern12([0.3, 0.5, 1.0])), (uniform, 1, Matern32(20.0)),
])  # fmt: skip
def test_domains_of_many_lengthscales(rng, layout, dim, kernel):
    points = layout(rng, 10_000, dim)
    tree = residual_tree(points, kernel, n_inducing=100)
    tree.knn(10)
    rows = rng.choice(len(points), 120, replace=False)
    for predecessor_mode in (False, True):
        found, _ = check(tree, points, kernel, 10, rows, predecessor_mode=predecessor_mode)
        np.testing.assert_array_equal(tree.knn(10, predecessor_mode=predecessor_mode)[rows], found)


def test_all_points_with_predecessors(rng):
    points = rng.standard_normal((10_000, 2))
    kernel = RBF(0.5)
    tree = cover_tree(points, kernel=kernel, inducing_count=64)
    every = tree.knn(20, predecessor_mode=True)
    rows = rng.choice(len(points), 300, replace=False)
    found, _ = check(tree, points, kernel, 20, rows, predecessor_mode=True)
    np.testing.assert_array_equal(every[rows], found)


@pytest.mark.parametrize("kernel", [RBF(0.7), Matern32(0.5)])
def test_same_answers_for_any_number_of_threads_and_rows(rng, kernel):
    points = rng.standard_normal((9000, 2))
    trees = [cover_tree(points, kernel=kernel, inducing_count=50, n_threads=threads) for threads in (1, 2, 5)]
    results = [
        tree.knn(15, predecessor_mode=True, return_distances=True, n_threads=threads)
        for tree, threads in zip(trees, (1, 2, 5))
    ]
    for found, distances in results[1:]:
        np.testing.assert_array_equal(found, results[0][0])
        np.testing.assert_array_equal(distances, results[0][1])
    for row in (0, 17, 4711, 8999):
        np.testing.assert_array_equal(trees[0].knn(15, queries=[row], predecessor_mode=True)[0], results[0][0][row])


def test_prefix_of_a_larger_k(rng):
    points = rng.standard_normal((3000, 2))
    tree = cover_tree(points, kernel=Matern52(0.3), inducing_count=64)
    many = tree.knn(200)
    for k in (1, 10, 50):
        np.testing.assert_array_equal(tree.knn(k), many[:, :k])


def test_duplicates_are_nearest_and_come_by_index(rng):
    base = rng.standard_normal((200, 3))
    points = np.tile(base, (5, 1))
    tree = cover_tree(points, kernel=RBF(1.0), inducing_count=150)
    found, distances = tree.knn(5, return_distances=True)
    assert np.isfinite(distances).all()
    for i in range(200):
        assert set(found[i].tolist()) == {i, i + 200, i + 400, i + 600, i + 800}
    kernel = Matern12(1.0)
    tree = cover_tree(points, kernel=kernel, inducing_count=0)
    found, distances = tree.knn(5, return_distances=True)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.arange(1000)[:, None] % 200 + 200 * np.arange(5))
    assert (distances == 0).all()
    np.testing.assert_array_equal(found, np.sort(found, axis=1))


def test_correlations_above_one_are_cut(rng):
    """Given variances that are a little small put |rho| of duplicates above 1: none may become NaN and vanish."""
    base = rng.standard_normal((100, 2))
    points = np.tile(base, (3, 1))
    kernel = RBF(0.5)
    v, p = oracle.features(kernel, points, base[:20])
    tree = cover_tree(points, kernel=kernel, v_matrix=v, p_diag=p * (1 - 5e-4))
    found, distances = tree.knn(3, return_distances=True)
    np.testing.assert_array_equal(found, np.arange(300)[:, None] % 100 + 100 * np.arange(3))
    assert (distances == 0).all()


@pytest.mark.parametrize("kind", [RBF, Matern12])
def test_the_variance_is_of_no_consequence(rng, kind):
    points = rng.standard_normal((9500, 2))
    expected = cover_tree(points, kernel=kind(0.6), inducing_count=50).knn(10, predecessor_mode=True)
    for variance in (2.0**-270, 2.0**270):
        tree = cover_tree(points, kernel=kind(0.6, variance), inducing_count=50)
        np.testing.assert_array_equal(tree.knn(10, predecessor_mode=True), expected)


def test_features_agree_with_numpy(rng):
    points = rng.standard_normal((700, 3))
    for kernel in (RBF(1.0, 2.0), Matern52([1.0, 2.0, 0.5])):
        tree = cover_tree(points, kernel=kernel, inducing_count=130)
        v, p = oracle.features(kernel, points, tree.inducing_points)
        np.testing.assert_allclose(tree.v_matrix, v, rtol=1e-10, atol=1e-9 * kernel.variance)
        np.testing.assert_allclose(tree.residual_variance, p, rtol=1e-6, atol=1e-12)
        assert tree.stats().jitter == 1e-6


def test_features_agree_with_scipy(rng):
    linalg = pytest.importorskip("scipy.linalg")
    points = rng.standard_normal((400, 2))
    kernel = Matern32(0.5)
    tree = cover_tree(points, kernel=kernel, inducing_count=77)
    u = tree.inducing_points
    factor = linalg.cholesky(kernel(u) + 1e-6 * np.eye(77), lower=True)
    v = linalg.solve_triangular(factor, kernel(u, points), lower=True).T
    np.testing.assert_allclose(tree.v_matrix, v, rtol=1e-10, atol=1e-10)


def test_inducing_sample_is_that_of_the_old_package(rng):
    points = rng.standard_normal((500, 2))
    tree = cover_tree(points, kernel=RBF(), inducing_count=40, seed=7)
    rows = np.sort(np.random.default_rng(7).choice(500, 40, replace=False))
    np.testing.assert_array_equal(tree.inducing_points, points[rows])


@pytest.mark.parametrize("method", ["random", "kmeans++", "cover-tree"])
def test_inducing_methods(rng, method):
    points = rng.standard_normal((2000, 2))
    kernel = Matern52(0.5)
    trees = [cover_tree(points, kernel=kernel, inducing_count=60, inducing_points=method) for _ in range(2)]
    chosen = trees[0].inducing_points
    assert len(np.unique(chosen, axis=0)) == 60
    np.testing.assert_array_equal(chosen, trees[1].inducing_points)
    check(trees[0], points, kernel, 10, np.arange(0, 2000, 50))
    if method != "random":  # spread: no two close together
        sample = cover_tree(points, kernel=kernel, inducing_count=60).inducing_points
        assert nearest_pair(chosen) > nearest_pair(sample)


def nearest_pair(points):
    d = np.linalg.norm(points[:, None] - points[None], axis=2)
    return np.min(d[~np.eye(len(points), dtype=bool)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("predecessor_mode", [False, True])
def test_given_features(rng, dtype, predecessor_mode):
    points = rng.standard_normal((1500, 3))
    kernel = Matern52(1.0)
    u = points[:40]
    v, p = oracle.features(kernel, points, u)
    v = v.astype(dtype)
    tree = cover_tree(points, v_matrix=v, p_diag=p, kernel_diag=np.ones(1500), kernel=kernel)
    rows = rng.choice(1500, 60, replace=False)
    check(tree, points, kernel, 20, rows, predecessor_mode=predecessor_mode, v=v.astype(np.float64), p=p)


def test_variances_too_small_to_divide_by(rng):
    """A pair with sqrt(p_i p_j) < 1e-9 variance is at distance 1, however large what is left of its covariance."""
    points = rng.standard_normal((600, 2))
    tree = cover_tree(points, kernel=RBF(0.5), v_matrix=np.zeros((600, 3)), p_diag=np.full(600, 1e-12))
    found, distances = tree.knn(20, return_distances=True)
    assert (distances[:, 0] == 0).all()
    assert (distances[:, 1:] == 1).all()
    for i in range(600):  # all others are as far: the lowest indices
        assert found[i].tolist() == [i, *[j for j in range(21) if j != i][:19]]
    # The rule is about both: 1e-12 and 1e-7 are too small together, 1e-7 and 1e-7 are not.
    p = np.where(np.arange(600) % 2, 1e-12, 1e-7)
    v = np.sqrt(1 - p)[:, None]
    tree = cover_tree(points, kernel=RBF(0.5), v_matrix=v, p_diag=p)
    found, distances = tree.knn(20, return_distances=True)
    for i in range(1, 600, 2):
        assert found[i].tolist() == [i, *[j for j in range(21) if j != i][:19]]


def test_given_features_without_a_kernel_warn(rng):
    points = rng.standard_normal((300, 2))
    v, p = oracle.features(RBF(), points, points[:10])
    with pytest.warns(UserWarning, match="RBF"):
        tree = cover_tree(points, v_matrix=v, p_diag=p)
    check(tree, points, RBF(), 5, v=v, p=p)


def test_before(rng):
    points = rng.standard_normal((9500, 2))
    kernel = Matern52(0.5)
    tree = cover_tree(points, kernel=kernel, inducing_count=64)
    v, p = oracle.features(kernel, points, tree.inducing_points)
    rows = rng.choice(9500, 100, replace=False)
    before = rng.integers(0, 9501, 100)
    before[:3] = [0, 1, 9500]
    found, distances = tree.knn(12, queries=rows, before=before, return_distances=True)
    rho, norms = oracle.correlations(kernel, points[rows], v[rows], p[rows], points, v, p)
    rho[np.arange(100), rows] = 1
    oracle.assert_nearest(rho, norms, 12, found, distances, np.arange(9500)[None] < before[:, None])
    np.testing.assert_array_equal(
        tree.knn(12, queries=rows, before=rows), tree.knn(12, queries=rows, predecessor_mode=True)
    )


@pytest.mark.parametrize("kernel", [RBF(0.6), Matern12(0.5)])
def test_new_points(rng, kernel):
    points = rng.standard_normal((6000, 2))
    new = rng.standard_normal((300, 2))
    tree = cover_tree(points, kernel=kernel, inducing_count=64)
    v, p = oracle.features(kernel, points, tree.inducing_points)
    v_q, p_q = oracle.features(kernel, new, tree.inducing_points)
    rho, norms = oracle.correlations(kernel, new, v_q, p_q, points, v, p)
    found, distances = tree.knn(15, queries=new, return_distances=True)
    oracle.assert_nearest(rho, norms, 15, found, distances)
    before = rng.integers(0, 6000, 300)
    found, distances = tree.knn(15, queries=new, before=before, return_distances=True)
    oracle.assert_nearest(rho, norms, 15, found, distances, np.arange(6000)[None] < before[:, None])


def test_conditioning_sets(rng):
    points, new = rng.standard_normal((800, 2)), rng.standard_normal((50, 2))
    kernel = Matern32(0.7)
    tree = cover_tree(points, kernel=kernel, inducing_count=30)
    np.testing.assert_array_equal(tree.conditioning_sets(8, queries=new), tree.knn(8, queries=new))
    both = np.concatenate([points, new])
    v, p = oracle.features(kernel, both, tree.inducing_points)
    found, distances = tree.conditioning_sets(8, queries=new, cond="all", return_distances=True)
    rho, norms = oracle.correlations(kernel, new, v[800:], p[800:], both, v, p)
    oracle.assert_nearest(rho, norms, 8, found, distances, oracle.predecessors(np.arange(800, 850), 850))
    assert len(tree) == 800


@pytest.mark.parametrize("kernel", [RBF(1.0, 2.0), RBF((0.8, 1.0, 2.0)), Matern52((1.0, 0.7, 2.0))], ids=repr)
def test_many_new_points_are_represented_by_blocks(rng, kernel):
    x = rng.standard_normal((3000, 3))
    with Runtime(residual=runtime.Residual(block_size=64)).activate():
        tree = residual_tree(x, kernel, inducing_points=x[::50])
    # Some lie outside of all blocks, and some are data.
    new = np.concatenate([rng.standard_normal((900, 3)), 3 * rng.standard_normal((100, 3)), x[:100]])
    found, distances = tree.knn(15, queries=new, return_distances=True)
    stats = tree.stats()
    assert stats.n_pivots > 0 and stats.blocks_estimated > 0
    v, p = oracle.features(kernel, x, tree.inducing_points)
    v_new, p_new = oracle.features(kernel, new, tree.inducing_points)
    rho, norms = oracle.correlations(kernel, new, v_new, p_new, x, v, p)
    oracle.assert_nearest(rho, norms, 15, found, distances, variance=kernel.variance)
    few = [tree.knn(15, queries=new[first : first + 100], return_distances=True) for first in range(0, len(new), 100)]
    np.testing.assert_array_equal(found, np.concatenate([part[0] for part in few]))
    np.testing.assert_array_equal(distances, np.concatenate([part[1] for part in few]))


def test_insert_keeps_features_and_finds_new_points(rng):
    points, more = rng.standard_normal((700, 3)), rng.standard_normal((300, 3))
    kernel = Matern52(1.0)
    tree = cover_tree(points, kernel=kernel, inducing_count=40)
    v = tree.v_matrix
    np.testing.assert_array_equal(tree.insert(more), np.arange(700, 1000))
    assert len(tree) == 1000
    np.testing.assert_array_equal(tree.v_matrix[:700], v)
    check(tree, np.concatenate([points, more]), kernel, 12, np.arange(0, 1000, 20))


def test_refit_is_a_new_build(rng):
    points = rng.standard_normal((1000, 2))
    tree = cover_tree(points, kernel=RBF(1.0), inducing_count=50)
    kernel = Matern32([0.4, 0.9], 2.0)
    other = tree.with_kernel(kernel)
    np.testing.assert_array_equal(other.inducing_points, tree.inducing_points)
    check(other, points, kernel, 10, np.arange(0, 1000, 25))
    assert tree.refit(kernel, n_inducing=30) is tree
    assert tree.kernel == kernel
    assert len(tree.inducing_points) == 30
    check(tree, points, kernel, 10, np.arange(0, 1000, 25))


def test_refit_keeps_the_euclidean_tree_while_the_lengthscale_stays(rng):
    tree = cover_tree(rng.standard_normal((300, 2)), kernel=RBF(0.5), inducing_count=10)
    known = tree.euclidean
    assert tree.with_kernel(Matern32(0.5, 3.0)).euclidean is known
    assert tree.refit(RBF([0.5, 0.5], 2.0)).euclidean is known
    assert tree.refit(RBF(0.6)).euclidean is not known
    assert tree.validate()


def test_time_is_reported_by_phase(rng):
    tree = cover_tree(rng.standard_normal((9000, 2)), kernel=RBF(0.7), inducing_count=40)
    built = tree.stats()
    assert built.search_seconds == 0
    assert 0 < built.order_seconds + built.feature_seconds + built.skeleton_seconds <= built.build_seconds
    tree.knn(5, predecessor_mode=True)
    searched = tree.stats()
    assert searched.search_seconds > 0
    assert searched.bound_seconds > 0
    assert searched.queries == 9000


def test_python_kernel_gives_the_same(rng):
    points = rng.standard_normal((1200, 2))
    native = cover_tree(points, kernel=Matern52(0.5), inducing_count=40)
    hosted = cover_tree(points, kernel=Matern52(0.5).__call__, inducing_count=40)
    for mode in (False, True):
        a, da = native.knn(10, predecessor_mode=mode, return_distances=True)
        b, db = hosted.knn(10, predecessor_mode=mode, return_distances=True)
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(da, db, atol=1e-8)
    new = rng.standard_normal((20, 2))
    np.testing.assert_array_equal(native.knn(5, queries=new), hosted.knn(5, queries=new))


def test_exception_in_a_python_kernel_is_raised(rng):
    points = rng.standard_normal((600, 2))
    calls = []

    def kernel(a, b):
        calls.append(a.shape)
        if len(calls) > 60:
            raise KeyError("no more")
        return Matern52()(a, b)

    with pytest.raises(KeyError, match="no more"):
        for _ in range(100):
            cover_tree(points, kernel=kernel, inducing_count=20).knn(5)
    with pytest.raises(ValueError, match=r"kernel: expected shape \(32, 32\), got \(3,\)"):
        cover_tree(points, kernel=lambda a, b: np.zeros(3))
    with pytest.raises(ValueError, match="kernel: expected finite"):
        cover_tree(points, kernel=lambda a, b: np.full((len(a), len(b)), np.nan))


def test_candidates_are_exact_over_the_nearest_by_distance(rng):
    points = rng.standard_normal((2000, 3))
    kernel = Matern52(1.0)
    tree = cover_tree(points, kernel=kernel, inducing_count=100)
    exact = tree.knn(20, predecessor_mode=True)
    assert (tree.knn(20, candidates=2000, predecessor_mode=True) == exact).all()
    some = tree.knn(20, candidates=150, predecessor_mode=True)
    recall = np.mean([len(set(a[a >= 0]) & set(b)) / max(1, (b >= 0).sum()) for a, b in zip(some, exact)])
    assert 0.8 < recall <= 1


def test_tree_of_the_scaled_coordinates(rng):
    points = rng.standard_normal((500, 2))
    tree = cover_tree(points, kernel=RBF([1.0, 4.0]), inducing_count=20)
    assert tree.validate()
    arrays = tree.export_arrays()
    np.testing.assert_allclose(arrays.points, points[arrays.order] / [1, 4])


def test_old_names(rng):
    points = rng.standard_normal((600, 3))
    tree = ResidualCoverTree(points, variance=2.0, lengthscale=0.8, inducing_count=50, kernel_type="matern52")
    found, distances = tree.knn(k=5, return_distances=True, predecessor_mode=True, queries=[5, 100, 599])
    same = cover_tree(points, kernel=Matern52(0.8, 2.0), inducing_count=50, engine="rust-hilbert")
    again, again_distances = same.knn(5, queries=[5, 100, 599], return_distances=True, predecessor_mode=True)
    np.testing.assert_array_equal(found, again)
    np.testing.assert_array_equal(distances, again_distances)
    assert ResidualCoverTree(points[:100], kernel_type=0).kernel == RBF()


def test_kernels_are_functions_and_values():
    kernel = Matern52(lengthscale=[1.0, 2.0], variance=3.0)
    assert kernel == Matern52(lengthscale=(1.0, 2.0), variance=3.0)
    assert hash(kernel) == hash(Matern52(lengthscale=(1.0, 2.0), variance=3.0))
    a = np.random.default_rng(0).standard_normal((5, 2))
    for kind in KERNELS:
        k = kind([1.0, 2.0], 3.0)
        np.testing.assert_allclose(k(a), oracle.covariances(k, a, a), rtol=1e-13)
        assert k(a, a[:2]).shape == (5, 2)


BAD_BUILDS = {
    "lengthscale": [lambda x: RBF(0.0), lambda x: RBF(-1.0), lambda x: RBF(np.nan), lambda x: RBF([1, np.inf, 1])],
    "variance": [lambda x: RBF(1.0, 0.0), lambda x: Matern52(1.0, -2.0), lambda x: Matern12(1.0, np.nan)],
}


@pytest.mark.parametrize(("name", "make"), [(name, make) for name, makes in BAD_BUILDS.items() for make in makes])
def test_bad_kernels(name, make):
    with pytest.raises(ValueError, match=f"^{name}"):
        make(None)


@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("^lengthscale: expected one number or 3", {"kernel": RBF([1.0, 2.0])}),
        ("^inducing_count: expected 0 to 50, got 51", {"inducing_count": 51}),
        ("^inducing_count: expected 0 to 50, got -1", {"inducing_count": -1}),
        ("^inducing_points: expected 3 columns, got 2", {"inducing_points": np.ones((4, 2))}),
        (r"^inducing_points\[1, 0\]: expected finite", {"inducing_points": np.array([[0, 0, 0], [np.nan, 0, 0]])}),
        ("^inducing_points: expected one of random", {"inducing_points": "best"}),
        ("^jitter: expected 0 to 0.01, got 2.0", {"jitter": 2.0}),
        ("^metric: 'euclidean' cannot be combined", {"metric": "euclidean"}),
        ("^v_matrix, p_diag: expected both", {"v_matrix": np.zeros((50, 2))}),
        ("^v_matrix: expected 50 rows", {"v_matrix": np.zeros((49, 2)), "p_diag": np.ones(50)}),
        (r"^v_matrix\[3, 1\]: expected finite", {"v_matrix": "nan", "p_diag": np.ones(50)}),
        (
            r"^p_diag\[0\]: expected a finite number above 0, got 0",
            {"v_matrix": np.zeros((50, 2)), "p_diag": np.zeros(50)},
        ),
        (r"^p_diag\[0\]: expected a finite", {"v_matrix": np.zeros((50, 2)), "p_diag": np.full(50, -1.0)}),
        (r"^p_diag\[0\]: 0.5 contradicts", {"v_matrix": np.zeros((50, 2)), "p_diag": np.full(50, 0.5)}),
        (r"^p_diag: expected shape \(50,\)", {"v_matrix": np.zeros((50, 2)), "p_diag": np.ones(49)}),
        (r"^kernel_diag\[0\]", {"v_matrix": np.zeros((50, 2)), "p_diag": np.ones(50), "kernel_diag": np.zeros(50)}),
        ("^v_matrix: cannot be combined", {"v_matrix": np.zeros((50, 2)), "p_diag": np.ones(50), "inducing_count": 3}),
    ],
)
def test_bad_builds(rng, message, options):
    options = {"kernel": RBF(), **options}
    if isinstance(options.get("v_matrix"), str):
        options["v_matrix"] = np.zeros((50, 2))
        options["v_matrix"][3, 1] = np.nan
    with pytest.raises(ValueError, match=message):
        cover_tree(rng.standard_normal((50, 3)), **options)


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ValueError, "^k: expected at least 1, got 0", {"k": 0}),
        (IndexError, r"^queries\[1\]: expected a dataset index from 0 to 49, got 50", {"queries": [3, 50]}),
        (IndexError, r"^queries\[0\].* got -1", {"queries": [-1]}),
        (ValueError, "^queries: expected 3 columns", {"queries": np.zeros((2, 2))}),
        (ValueError, r"^queries\[0, 0\]: expected finite", {"queries": np.full((1, 3), np.nan)}),
        (ValueError, "^predecessor_mode: new points", {"queries": np.zeros((2, 3)), "predecessor_mode": True}),
        (ValueError, "^exclude_self: new points", {"queries": np.zeros((2, 3)), "exclude_self": True}),
        (ValueError, "^before: expected 2 numbers", {"queries": [1, 2], "before": [1]}),
        (ValueError, r"^before: .*predecessor_mode", {"queries": [1], "before": [1], "predecessor_mode": True}),
        (ValueError, "^candidates: expected points", {"queries": np.zeros((2, 3)), "candidates": 5}),
        (ValueError, "^n_threads: ", {"n_threads": 0}),
    ],
)
def test_bad_searches(rng, error, message, options):
    tree = cover_tree(rng.standard_normal((50, 3)), kernel=RBF(), inducing_count=10)
    with pytest.raises(error, match=message):
        tree.knn(**{"k": 3, **options})


def test_other_refusals(rng):
    points = rng.standard_normal((50, 3))
    tree = cover_tree(points, kernel=RBF(), inducing_count=10)
    with pytest.raises(ValueError, match=r"^cond: expected"):
        tree.conditioning_sets(3, queries=points, cond="test")
    with pytest.raises(ValueError, match=r"^points: expected 3 columns"):
        tree.insert(np.zeros((2, 2)))
    assert len(tree) == 50
    v, p = oracle.features(RBF(), points, points[:10])
    given_features = cover_tree(points, v_matrix=v, p_diag=p, kernel=RBF())
    with pytest.raises(RuntimeError, match="v_matrix"):
        given_features.insert(points)
    with pytest.raises(RuntimeError, match="v_matrix"):
        given_features.knn(3, queries=points)
    with pytest.raises(ValueError, match="v_matrix was given"):
        given_features.with_kernel(Matern52())
    tree.close()
    with pytest.raises(ValueError, match="is closed"):
        tree.knn(3)


def test_not_positive_definite_gets_jitter_up_to_a_limit(rng):
    points = rng.standard_normal((60, 2))
    same = np.repeat(points[:1], 30, axis=0)
    tree = cover_tree(points, kernel=RBF(), inducing_points=same, jitter=1e-17)
    assert 1e-17 < tree.stats().jitter <= 0.01
    with pytest.raises(ValueError, match="not positive definite"):
        cover_tree(points, kernel=lambda a, b: 1 - 0.5 * ((a[:, None] - b[None]) ** 2).sum(axis=2), inducing_count=30)


def improper(large):
    """A function that is no kernel: inducing points are independent, and have large covariances with all others."""
    inducing = PLACES[:10]

    def kernel(a, b):
        equal = (a[:, None] == b[None]).all(axis=-1)
        chosen = [(points[:, None] == inducing).all(axis=-1).any(axis=1) for points in (a, b)]
        return np.where(equal, 1.0, np.where(chosen[0][:, None] & chosen[1], 0.0, large))

    return kernel


PLACES = np.random.default_rng(0).random((300, 2))


@pytest.mark.parametrize("large", [1e308, 1e200, 1e80, 1e30])
def test_covariances_that_overflow_are_an_error(large):
    with pytest.raises(ValueError, match="kernel: is not positive definite, or its covariances overflow"):
        cover_tree(PLACES, kernel=improper(large), inducing_points=PLACES[:10])


@pytest.mark.parametrize(
    ("feature", "variance", "diagonal", "message"),
    [
        (1e150, 1e-10, None, "v_matrix"),
        (1e100, 1e-10, None, "v_matrix"),
        (1e30, 1e-10, None, "v_matrix"),
        (1e30, 1e60, 9e60, "kernel_diag"),
        (0.1, 1e300, 1e300, "kernel_diag"),
        (0.1, 1e-160, None, "p_diag"),
    ],
)
@pytest.mark.parametrize("kernel_variance", [1.0, 1e-100])
def test_features_that_overflow_are_an_error(feature, variance, diagonal, message, kernel_variance):
    shape, scale = (len(PLACES), 8), kernel_variance
    options = {} if diagonal is None else {"kernel_diag": np.full(len(PLACES), scale * diagonal)}
    with pytest.raises(ValueError, match=message):
        cover_tree(
            PLACES,
            kernel=RBF(variance=scale),
            v_matrix=np.full(shape, feature * np.sqrt(scale)),
            p_diag=np.full(len(PLACES), scale * variance),
            **options,
        )


@pytest.mark.parametrize("variance", [2.0**-980, 1e-200, 1e200, 2.0**1000])
@pytest.mark.parametrize("kernel", KERNELS)
def test_neighbours_do_not_depend_on_the_variance(kernel, variance):
    plain = cover_tree(PLACES, kernel=kernel(0.2), inducing_count=20).knn(5, predecessor_mode=True)
    scaled = cover_tree(PLACES, kernel=kernel(0.2, variance), inducing_count=20).knn(5, predecessor_mode=True)
    assert (scaled[5:] >= 0).all()
    assert np.mean(scaled == plain) > 0.99


@pytest.mark.parametrize("kernel", [Matern12, Matern32, Matern52, RBF])
@pytest.mark.parametrize(("lengthscale", "factor"), [(1e-200, 1), (5e-324, 1), (1.0, 1e160)])
def test_kernels_refuse_coordinates_whose_squares_overflow(kernel, lengthscale, factor):
    with pytest.raises(ValueError, match=r"X1\[0, 0\]: .* is beyond 2\^500"):
        kernel(lengthscale)(PLACES[:3] * factor, PLACES[:2] * factor)
    far = kernel(1.0)(PLACES[:3] * 1e150)
    assert np.isfinite(far).all() and (np.diagonal(far) == 1).all()
