"""Functions of the caller's that the library calls back: whatever they return is read rightly or refused by name."""

import ast
import dataclasses
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import covertreex
from covertreex import baseline, cover_tree, indexes, load, metrics
from covertreex._capi.callbacks import CallbackKernel
from covertreex._capi.calls import call_options
from covertreex.core import TreeBackend, get_metric
from covertreex.kernels import Matern52
from covertreex.metrics import residual

POINTS = np.random.default_rng(1).standard_normal((600, 2))


def wide(values):
    """The same values in every other position of a larger array."""
    large = np.full((2 * len(values), 3 * values.shape[1]), np.nan)
    large[::2, ::3] = values
    return large[::2, ::3]


def unaligned(values):
    raw = np.zeros(values.nbytes + 1, np.uint8)
    array = raw[1:].view(values.dtype).reshape(values.shape)
    array[...] = values
    return array


def frame(values):
    return pytest.importorskip("pandas").DataFrame(values)


def read_only(values):
    values.flags.writeable = False
    return values


LAYOUTS = {
    "F order": np.asfortranarray,
    "transpose": lambda values: np.ascontiguousarray(values.T).T,
    "slice": wide,
    "negative strides": lambda values: np.ascontiguousarray(values[::-1, ::-1])[::-1, ::-1],
    "swapped bytes": lambda values: values.astype(">f8"),
    "unaligned": unaligned,
    "read-only": read_only,
    "list": np.ndarray.tolist,
    "list of arrays": list,
    "DataFrame": frame,
    "DataFrame of columns": lambda values: frame({str(i): values[:, i] for i in range(values.shape[1])}),
    "matrix": np.asmatrix,
    "masked array": np.ma.masked_array,
    "long double": lambda values: values.astype(np.longdouble),
}


class Hosted:
    """A kernel that only Python knows."""

    def __init__(self, change=lambda values: values, dtype=np.float64):
        self.change, self.dtype = change, dtype

    def __call__(self, a, b):
        return self.change(Matern52(0.5)(a, b).astype(self.dtype))


def answers(kernel):
    tree = cover_tree(POINTS, kernel=kernel, inducing_count=20)
    new = np.random.default_rng(2).standard_normal((5, 2))
    return [
        tree.v_matrix,
        tree.residual_variance,
        *tree.knn(4, return_distances=True, predecessor_mode=True),
        *tree.knn(4, queries=new, return_distances=True),
        *tree.features(new),
    ]


@pytest.fixture(scope="module")
def wanted():
    return answers(Hosted())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_covariances_in_any_layout_are_the_same(wanted, layout):
    for one, other in zip(answers(Hosted(LAYOUTS[layout])), wanted):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layout", ["F order", "slice", "DataFrame"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_covariances_of_fewer_bits_are_read_as_they_are(layout, dtype):
    rounded = answers(Hosted(lambda values: values.astype(np.float64), dtype))
    for one, other in zip(answers(Hosted(LAYOUTS[layout], dtype)), rounded):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint32, np.int64])
def test_covariances_of_whole_numbers(dtype):
    def kernel(a, b):
        return (a[:, None, :] == b[None, :, :]).all(axis=2).T.astype(dtype).T

    tree = cover_tree(POINTS, kernel=kernel, inducing_count=10)
    assert (tree.residual_variance[np.abs(tree.v_matrix).sum(axis=1) == 0] == 1).all()
    np.testing.assert_array_equal(tree.knn(2), cover_tree(POINTS, kernel=lambda a, b: kernel(a, b) * 1.0,
                                                          inducing_count=10).knn(2))  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda values: values[:, :-1], ValueError, r"kernel: expected shape \((\d+), 32\), got \(\1, 31\)"),
        (lambda values: values[0], ValueError, r"kernel: expected shape \(\d+, 32\), got \(32,\)"),
        (lambda values: values[..., None], ValueError, r"kernel: expected shape \((\d+), 32\), got \(\1, 32, 1\)"),
        (lambda values: 1.0, ValueError, r"kernel: expected shape \(\d+, 32\), got \(\)"),
        (lambda values: [[1.0], [1.0, 2.0]], ValueError, "kernel: expected an array, got "),
        (lambda values: None, TypeError, "kernel: expected real numbers, got None"),
        (lambda values: "covariances", TypeError, "kernel: expected real numbers, got 'covariances'"),
        (lambda values: values + 0j, TypeError, "kernel: expected real numbers, got dtype complex128"),
        (lambda values: values.astype(str), TypeError, "kernel: expected real numbers, got dtype <U"),
        (lambda values: values.astype(object), TypeError, "kernel: expected real numbers, got dtype object"),
        (lambda values: values * np.nan, ValueError, "kernel: expected finite numbers, got nan"),
        (lambda values: -values / 0.0, ValueError, "kernel: expected finite numbers, got -inf"),
        (lambda values: np.ma.masked_less(values, 0.5), ValueError, "kernel: expected an array without masked"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_rejects_invalid_covariances(change, error, words):
    with pytest.raises(error, match=words):
        cover_tree(POINTS, kernel=Hosted(change), inducing_count=20)


@pytest.mark.parametrize("rows", [None, 5])
def test_a_transposed_block_is_refused_in_searches(rows):
    kernel = Hosted()
    tree = cover_tree(POINTS, kernel=kernel, inducing_count=20)
    expected = tree.knn(3, queries=POINTS[:5])
    kernel.change = np.transpose
    queries = None if rows is None else POINTS[:rows]
    with pytest.raises(ValueError, match=r"kernel: expected shape \((\d+), (\d+)\), got \(\2, \1\)"):
        tree.knn(3, queries=queries)
    with pytest.raises(ValueError, match="kernel: expected shape"):
        tree.features(POINTS[:7])
    kernel.change = np.asfortranarray
    np.testing.assert_array_equal(tree.knn(3, queries=POINTS[:5]), expected)


def test_a_kernel_that_is_given_to_load(tmp_path, wanted):
    cover_tree(POINTS, kernel=Hosted(), inducing_count=20).save(tmp_path / "tree")
    tree = load(tmp_path / "tree", kernel=Hosted(np.asfortranarray))
    np.testing.assert_array_equal(tree.knn(4, predecessor_mode=True), wanted[2])


def test_arguments_of_a_kernel_are_its_own():
    kept = []

    def kernel(a, b):
        values = Matern52(0.5)(a, b)
        a[:], b[:] = np.nan, np.nan
        kept.append((a, b))
        return values

    np.testing.assert_array_equal(
        cover_tree(POINTS, kernel=kernel, inducing_count=20).knn(3),
        cover_tree(POINTS, kernel=Hosted(), inducing_count=20).knn(3),
    )
    assert all(np.isnan(a).all() and np.isnan(b).all() for a, b in kept)


def test_plots_read_values_of_a_kernel():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    plot = importlib.import_module("covertreex.plot")

    def drawn(kernel):
        tree = cover_tree(POINTS, kernel=kernel, inducing_count=20)
        return plot.correlation_decay(tree, n_points=50, ax=matplotlib.figure.Figure().add_subplot())

    as_list, as_array = drawn(Hosted(np.ndarray.tolist)), drawn(Hosted())
    for one, other in zip(as_list.lines, as_array.lines):
        np.testing.assert_array_equal(one.get_ydata(), other.get_ydata())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_weights_of_estimators_are_read_as_kernels_are(layout):
    estimators = pytest.importorskip("covertreex.sklearn")
    targets = POINTS.sum(axis=1)

    def predicted(change):
        model = estimators.CoverTreeRegressor(4, weights=lambda distances: change(np.exp(-distances)))
        return model.fit(POINTS, targets).predict(POINTS[:4] + 0.1)

    np.testing.assert_array_equal(predicted(LAYOUTS[layout]), predicted(np.ascontiguousarray))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda values: values[:, :1], ValueError, r"weights: expected shape \(5, 4\), got \(5, 1\)"),
        (np.transpose, ValueError, r"weights: expected shape \(5, 4\), got \(4, 5\)"),
        (lambda values: values + 1j, TypeError, "weights: expected real numbers, got dtype complex128"),
        (lambda values: None, TypeError, "weights: expected real numbers, got None"),
        (lambda values: np.ma.masked_greater(values, 0), ValueError, "weights: expected an array without masked"),
    ],
)
def test_rejects_invalid_weights(change, error, words):
    estimators = pytest.importorskip("covertreex.sklearn")
    for kind in (estimators.CoverTreeRegressor, estimators.CoverTreeClassifier):
        model = kind(4, weights=change).fit(POINTS, POINTS[:, 0] > 0)
        with pytest.raises(error, match=words):
            model.predict(POINTS[:5])


UNDER_A_DEBUG_ALLOCATOR = """
import numpy as np
from covertreex import cover_tree
from covertreex.kernels import Matern52

points = np.random.default_rng(1).standard_normal((1500, 2))
found = []
for change in (np.ascontiguousarray, np.asfortranarray, np.float32, lambda values: np.array(values[::-1])[::-1]):
    kernel = Matern52(0.5)
    tree = cover_tree(points, kernel=lambda a, b: change(kernel(a, b)), inducing_count=40, n_threads=2)
    found.append((tree.v_matrix, tree.knn(5), tree.knn(5, queries=points[:3] + 0.25)))
for one in (1, 3):
    for mine, theirs in zip(found[one], found[0]):
        np.testing.assert_array_equal(mine, theirs)
np.testing.assert_allclose(found[2][0], found[0][0], atol=0.01)
print("all read")
"""


def test_under_a_debug_allocator():
    """Memory that is freed is overwritten at once there, so reading it later would show."""
    environment = {**os.environ, "PYTHONMALLOC": "debug", "MALLOC_PERTURB_": "165", "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run(
        [sys.executable, "-c", UNDER_A_DEBUG_ALLOCATOR],
        check=False, capture_output=True, text=True, timeout=300, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "all read\n"), done.stderr


# Addresses of temporary arrays


def temporaries(source):
    """Lines that take the address of an array that nothing else holds."""
    pointer_functions = {"address", "features_of", "matrix", "optional", "start"}
    for node in ast.walk(ast.parse(source)):
        passed = []
        if isinstance(node, ast.Attribute) and node.attr == "ctypes":
            passed = [node.value]
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            passed = node.args if name in pointer_functions else []
        yield from (one.lineno for one in passed if not isinstance(one, (ast.Name, ast.Attribute)))


def test_the_search_for_temporaries_finds_them():
    assert list(temporaries("f(np.ascontiguousarray(a).ctypes.data)\ng(a.ctypes.data)\nh(*features_of(b.T + 1))")) == [
        1,
        3,
    ]


@pytest.mark.parametrize("path", sorted(Path(covertreex.__file__).parent.rglob("*.py")), ids=lambda path: path.name)
def test_no_address_of_a_temporary_array_is_passed(path):
    assert list(temporaries(path.read_text(encoding="utf-8"))) == []


# Exceptions


class Falsy(Exception):
    """An exception that counts as false, as those do that are also lists."""

    def __len__(self):
        return 0


def slow(a, b):
    """A kernel that takes long enough for the library to report progress."""
    time.sleep(0.02)
    return Matern52(0.5)(a, b)


@pytest.mark.parametrize("error", [KeyError("mine"), Falsy("mine"), SystemExit("mine"), KeyboardInterrupt("mine")])
def test_an_exception_of_a_callback_ends_the_call(error):
    def fail(*_):
        raise error

    with pytest.raises(type(error), match="mine"):
        cover_tree(POINTS, kernel=fail)
    tree = cover_tree(POINTS, kernel=slow, inducing_count=20)
    with pytest.raises(type(error), match="mine"):
        tree.knn(3, progress=fail, n_threads=1)
    assert tree.knn(3).shape == (600, 3)


@pytest.mark.parametrize("returned", [np.asfortranarray(np.ones((3, 4))), np.nan, "no", False, 2**80, None])
def test_results_of_reports_of_progress_are_ignored(returned):
    shares = []
    tree = cover_tree(POINTS, kernel=slow, inducing_count=20)
    found = tree.knn(3, progress=lambda share: [shares.append(share), returned][1], n_threads=1)
    np.testing.assert_array_equal(found, tree.knn(3))
    assert shares


def test_one_calls_exception_is_not_anothers():
    """Two searches of one tree: the kernel fails in one while the other is under way."""
    failing = threading.Event()
    first, both = threading.Event(), threading.Barrier(2, timeout=60)

    class Mine(Exception):
        pass

    def kernel(a, b):
        if failing.is_set():
            if (a == 77).any() or (b == 77).any():
                first.wait(60)
                raise Mine
            first.set()
        return Matern52(0.5)(a, b)

    tree = cover_tree(POINTS, kernel=kernel, inducing_count=20)
    good, bad = POINTS[:3] + 0.5, np.full((3, 2), 77.0)
    expected = tree.knn(3, queries=good)
    failing.set()
    outcome = {}

    def search(name, queries):
        both.wait()
        try:
            outcome[name] = tree.knn(3, queries=queries, n_threads=1)
        except Exception as error:
            outcome[name] = error

    threads = [threading.Thread(target=search, args=one) for one in (("good", good), ("bad", bad))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert isinstance(outcome["bad"], Mine)
    np.testing.assert_array_equal(outcome["good"], expected)
    assert not tree._callback.errors


def test_errors_of_other_threads_of_a_call_are_forgotten():
    callback = CallbackKernel(Hosted())

    def failing(*_):
        callback.errors += [KeyError("one"), KeyError("other")]
        raise covertreex.CoverTreeError("ended")

    def ended(*_):
        raise covertreex.CoverTreeError("ended")

    with pytest.raises(KeyError, match="one"):
        callback.run(failing, options=call_options(0))
    with pytest.raises(covertreex.CoverTreeError, match="ended"):
        callback.run(ended, options=call_options(0))


def test_an_interrupt_ends_a_short_search():
    """The kernel runs outside the main thread, where a signal cannot come between two of its instructions."""
    inside = []

    def kernel(a, b):
        inside.append(threading.current_thread() is threading.main_thread())
        if armed.is_set():
            armed.clear()
            os.kill(os.getpid(), signal.SIGINT)
        return Matern52(0.5)(a, b)

    armed = threading.Event()
    tree = cover_tree(POINTS, kernel=kernel, inducing_count=20)
    expected = tree.knn(3, queries=POINTS[:2])
    armed.set()
    with pytest.raises(KeyboardInterrupt):
        tree.knn(3, queries=POINTS[:2])
        signal.pthread_sigmask(signal.SIG_BLOCK, ())  # signals that came are handled here at the latest
    np.testing.assert_array_equal(tree.knn(3, queries=POINTS[:2]), expected)
    assert not any(inside)


def complex_data(**changes):
    """Residual data of covertreex 0.4.x whose kernel, or one of whose arrays, is complex."""
    data = metrics.build_residual_backend(POINTS, seed=0, inducing_count=9, variance=1.0, lengthscale=1.0)
    return dataclasses.replace(data, **changes)


def imaginary(rows, columns):
    return np.full((len(rows), len(columns)), 0.5 + 0.25j)


ROWS = np.arange(3)
IMAGINARY = POINTS[:4] + 1j
DATA = metrics.build_residual_backend(POINTS, seed=0, inducing_count=9, variance=1.0, lengthscale=1.0)
COMPLEX = {
    "points": lambda: cover_tree(IMAGINARY),
    "queries": lambda: cover_tree(POINTS).knn(2, queries=IMAGINARY),
    "kernel": lambda: Matern52()(IMAGINARY),
    "lengthscale": lambda: Matern52(lengthscale=[1j, 1]),
    "variance": lambda: Matern52(variance=1j),
    "v_matrix": lambda: cover_tree(POINTS[:4], kernel=Matern52(), v_matrix=IMAGINARY, p_diag=np.ones(4)),
    "p_diag": lambda: cover_tree(POINTS[:4], kernel=Matern52(), v_matrix=POINTS[:4], p_diag=np.ones(4) + 1j),
    "inducing_points": lambda: cover_tree(POINTS, kernel=Matern52(), inducing_points=IMAGINARY),
    "vectors": lambda: indexes.BruteForce(2).add(range(4), IMAGINARY),
    "query": lambda: indexes.BruteForce(2).knn(1, queries=IMAGINARY),
    "store": lambda: covertreex.VectorStore(dim=2).add(range(4), IMAGINARY),
    "kernel_provider": lambda: residual.compute_residual_distances(complex_data(kernel_provider=imaginary), ROWS, ROWS),
    "kernel_provider of one row": lambda: residual.compute_residual_distances_with_radius(
        complex_data(kernel_provider=imaginary), 0, ROWS, None, 0.5
    ),
    "kernel_provider of a matrix": lambda: residual.compute_residual_pairwise_matrix(
        complex_data(kernel_provider=imaginary), ROWS
    ),
    "kernel_provider of a tree": lambda: complex_data(kernel_provider=imaginary, origin=None).tree(),
    "kernel_block": lambda: residual.compute_residual_distances_from_kernel(DATA, ROWS, ROWS, imaginary(ROWS, ROWS)),
    "kernel_row": lambda: residual.compute_residual_distances_with_radius(DATA, 0, ROWS, imaginary(ROWS, ROWS)[0], 0.5),
    "radii": lambda: residual.compute_residual_distances_block_no_gate(DATA, ROWS, ROWS, np.ones((3, 3)), ROWS + 1j),
    "v_matrix of the data": lambda: complex_data(v_matrix=DATA.v_matrix + 1j),
    "p_diag_f64 of the data": lambda: complex_data(p_diag_f64=DATA.p_diag + 1j),
    "point": lambda: residual.decode_indices(DATA, IMAGINARY),
    "metric": lambda: get_metric("euclidean").pairwise(TreeBackend.numpy(), IMAGINARY, POINTS[:4]),
    "backend": lambda: TreeBackend.numpy().array(IMAGINARY),
    "baseline": lambda: baseline.BaselineCoverTree.from_points(IMAGINARY),
}


@pytest.mark.parametrize("call", COMPLEX)
@pytest.mark.filterwarnings("error")
def test_no_imaginary_part_is_dropped(call):
    with pytest.raises(TypeError, match=r"real numbers|a number"):
        COMPLEX[call]()
