import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from covertreex import cover_tree, plot, vecchia
from covertreex._bench import workloads
from covertreex.kernels import RBF, Matern52

rng = np.random.default_rng(0)
points = rng.random((300, 2))


def offsets(ax, which):
    """Places of the points of a scatter."""
    return np.asarray(ax.collections[which].get_offsets())


def test_levels(tmp_path):
    tree = cover_tree(np.concatenate([points, points[:5]]))
    ax = plot.levels(tree)
    drawn = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in ax.patches}
    assert drawn == tree.stats().levels
    assert ax.get_title() == "305 nodes, 5 of them duplicates"
    assert ax.xaxis_inverted()
    ax.figure.savefig(tmp_path / "levels.png")
    assert (tmp_path / "levels.png").stat().st_size > 1000
    mine = Figure().subplots()
    assert plot.levels(cover_tree(points, kernel=RBF(0.3), inducing_count=9), ax=mine) is mine


def test_the_tree_level_by_level():
    tree = cover_tree(points)
    arrays = tree.export_arrays()
    axes = plot.tree(tree, n_levels=3)
    there = np.unique(arrays.levels)[::-1]
    assert len(axes) == 3
    for ax, level in zip(axes, there[1:]):
        nodes = np.flatnonzero(arrays.levels >= level)
        everything, balls, edges, drawn = ax.collections
        assert len(everything.get_offsets()) == 300
        np.testing.assert_allclose(np.asarray(drawn.get_offsets()), arrays.points[nodes])
        assert len(balls.get_paths()) == len(nodes)
        radius = np.ptp(balls.get_paths()[0].vertices[:, 0]) / 2
        assert radius == pytest.approx(2.0**level)
        new = np.flatnonzero(arrays.levels == level)
        segments = np.array(edges.get_segments())
        np.testing.assert_allclose(segments[:, 0], arrays.points[new])
        np.testing.assert_allclose(segments[:, 1], arrays.points[arrays.parents[new]])


def test_trees_of_other_dimensions():
    flat = np.column_stack([points, np.zeros(300), np.zeros(300)]) @ np.linalg.qr(rng.standard_normal((4, 4)))[0]
    axes = plot.tree(cover_tree(flat), n_levels=2)
    drawn = offsets(axes[0], 0)
    order = cover_tree(flat).export_arrays().order
    far = np.linalg.norm(points[order][:, None] - points[order][None], axis=2)
    np.testing.assert_allclose(np.linalg.norm(drawn[:, None] - drawn[None], axis=2), far, atol=1e-9)
    assert len(axes[0].collections) == 3  # no balls
    assert len(plot.tree(cover_tree(points[:, :1]), n_levels=9)) > 1
    assert len(plot.tree(cover_tree(points[:1]))) == 1
    assert (
        len(plot.tree(cover_tree(points, kernel=RBF(0.3), inducing_count=9, cover_tree_metric="residual_correlation")))
        == 4
    )
    with pytest.raises(ValueError, match="n_levels: expected at least 1"):
        plot.tree(cover_tree(points), n_levels=0)


def test_a_conditioning_set():
    sets = vecchia.neighbors(points, kernel=Matern52(0.2), m=7, n_inducing=20)
    ax = plot.conditioning_set(points, sets, 120)
    ordered = points[sets.order]
    for which, expected in enumerate([ordered[121:], ordered[:120], ordered[sets.neighbors[120]], ordered[120:121]]):
        np.testing.assert_allclose(offsets(ax, which), expected)
    assert "its 7 neighbours" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(offsets(plot.conditioning_set(points, sets, 3), 2)) == 3
    with pytest.raises(ValueError, match="points: expected 300 points"):
        plot.conditioning_set(points[:9], sets, 3)
    with pytest.raises(ValueError, match="rank: expected 0 to 299, got 300"):
        plot.conditioning_set(points, sets, 300)


@pytest.mark.parametrize("given", [False, True])
def test_the_decay_of_correlation(given):
    kernel = Matern52(0.2, 3.0)
    tree = cover_tree(points, kernel=kernel, inducing_count=20)
    if given:
        tree = cover_tree(points, kernel=kernel, v_matrix=tree.v_matrix, p_diag=tree.residual_variance)
    ax = plot.correlation_decay(tree, n_points=300, n_bins=5)
    drawn = offsets(ax, 0)
    v, p = tree.v_matrix, tree.residual_variance
    correlations = np.abs((kernel(points) - v @ v.T) / np.sqrt(np.outer(p, p)))
    one, other = np.triu_indices(300, 1)
    far = np.linalg.norm(points[one] - points[other], axis=1) / 0.2
    assert len(drawn) == len(far)
    expected = np.column_stack([far, correlations[one, other]])
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0), atol=1e-6)
    kernel_line, residual_line = ax.lines
    edges = np.linspace(0, np.quantile(far, 0.98), 6)
    first = (far >= edges[0]) & (far < edges[1])
    assert kernel_line.get_ydata()[0] == pytest.approx(np.median(kernel(points)[one, other][first] / 3), abs=1e-6)
    assert residual_line.get_ydata()[0] == pytest.approx(np.median(correlations[one, other][first]), abs=1e-6)


def test_scaling(tmp_path):
    rows = [
        {"workload": "w", "who": who, "n_points": n, "build_seconds": n * cost, "queries_per_second": 1 / cost}
        for who, cost in [("a", 0.5), ("b", 0.25)]
        for n in (100, 10, 1000)
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(rows))
    for given in (rows, path, [workloads.Result(**row, first_seconds=1, seconds=1, recall=1) for row in rows]):
        build, query = plot.scaling(given)
        assert [line.get_label() for line in build.lines] == ["a", "b"]
        assert list(build.lines[1].get_xdata()) == [10, 100, 1000]
        assert list(build.lines[1].get_ydata()) == [2.5, 25, 250]
        assert list(query.lines[0].get_ydata()) == [2, 2, 2]
    for given, words in [([], "expected at least one, got none"), ([{"who": "a"}], "got one without workload")]:
        with pytest.raises(ValueError, match=words):
            plot.scaling(given)
    path.write_text("{}")
    with pytest.raises(ValueError, match="is not the output of covertreex bench"):
        plot.scaling(path)


def test_without_matplotlib_it_says_what_to_install():
    code = "import sys; sys.modules['matplotlib.collections'] = None; import covertreex.plot"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "pip install 'covertreex[plot]'" in done.stderr
