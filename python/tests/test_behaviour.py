"""Threads, forks, interrupts and lifetimes."""

import gc
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from covertreex import CoverTreeError, build_info, cover_tree, residual_tree
from covertreex._capi import library, signatures, structs
from covertreex.kernels import Matern32

INCLUDE = Path(__file__).parents[2] / "include"
HEADER, PARTITIONS = INCLUDE / "covertree.h", INCLUDE / "covertree_partitions.h"


def bits(tree):
    """Everything that a tree is, as bytes."""
    return [None if a is None else a.tobytes() for a in tree.export_arrays()]


@pytest.mark.parametrize("order", ["hilbert", "natural", "random"])
@pytest.mark.parametrize(("n", "dim"), [(30_000, 3), (5_000, 8), (3_000, 1)])
def test_the_same_bits_for_any_number_of_threads(rng, n, dim, order):
    points = rng.standard_normal((n, dim)).astype(np.float32)
    points[: n // 10] = points[n // 10 : 2 * (n // 10)]
    more = rng.standard_normal((n // 2, dim)).astype(np.float32)
    queries = rng.standard_normal((2000, dim)).astype(np.float32)
    results = []
    for threads in (1, 2, 4):
        tree = cover_tree(points, order=order, seed=7, n_threads=threads)
        result = bits(tree)
        tree.insert(more, n_threads=threads)
        result += bits(tree)
        for got in tree.knn(12, queries=queries, return_distances=True, n_threads=threads):
            result.append(got.tobytes())
        for got in tree.radius(0.3, return_distances=True, n_threads=threads):
            result.append(got.tobytes())
        results.append(result)
    assert results[0] == results[1] == results[2]


def test_the_seed_decides(rng):
    points = rng.standard_normal((5000, 3))
    assert bits(cover_tree(points, seed=1)) == bits(cover_tree(points, seed=1))
    assert bits(cover_tree(points, seed=1)) != bits(cover_tree(points, seed=2))


def test_many_threads_search_one_tree(rng):
    points = rng.standard_normal((20_000, 3))
    queries = rng.standard_normal((3000, 3))
    tree = cover_tree(points)
    expected = tree.knn(10, queries=queries)
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: tree.knn(10, queries=queries), range(40)):
            assert (got == expected).all()


def test_searches_during_changes(rng):
    """A search sees the tree before a change or after it, never a mixture."""
    points = rng.standard_normal((4000, 2))
    tree = cover_tree(points[:2000])
    answers = {n: cover_tree(points[:n]).knn(3, queries=points[:200]).tobytes() for n in range(2000, 4001, 100)}
    stop = threading.Event()
    wrong = []

    def search():
        while not stop.is_set():
            if tree.knn(3, queries=points[:200]).tobytes() not in answers.values():
                wrong.append(1)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for begin in range(2000, 4000, 100):
        tree.insert(points[begin : begin + 100])
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


def test_two_changes_at_once(rng):
    tree = cover_tree(rng.standard_normal((100, 2)))
    inside = threading.Event()
    go_on = threading.Event()

    def hold(share):
        inside.set()
        go_on.wait(30)

    thread = threading.Thread(target=lambda: tree.insert(rng.random((6_000_000, 2), np.float32), progress=hold))
    thread.start()
    assert inside.wait(30)
    with pytest.raises(CoverTreeError, match="another thread"):
        tree.insert([[0.0, 0.0]])
    assert len(tree) == 100
    go_on.set()
    thread.join()
    assert len(tree) == 6_000_100


def test_progress_goes_up_to_one(rng):
    shares = []
    cover_tree(rng.standard_normal((400_000, 3))).validate(progress=shares.append)
    assert shares and all(0 <= share <= 1 for share in shares)
    assert shares == sorted(shares)


def test_progress_of_a_call_is_reported_in_one_thread(rng):
    """The one that calls the library."""
    points, threads = rng.random((6_000, 2)), []

    def note(_):
        threads[-1].add(threading.get_ident())

    for _ in range(8):  # a report is due every 0.1 s
        threads.append(set())
        tree = residual_tree(points, Matern32(0.1), n_inducing=200, progress=note)
        threads.append(set())
        tree.knn(10, predecessor_mode=True, progress=note)
    assert max(map(len, threads)) == 1


def test_an_exception_in_the_callback_ends_the_call(rng):
    class MyError(Exception):
        pass

    def fail(share):
        raise MyError(share)

    points = rng.standard_normal((1_000_000, 3))
    with pytest.raises(MyError):
        cover_tree(rng.random((8_000_000, 3), np.float32), progress=fail)
    tree = cover_tree(points)
    with pytest.raises(MyError):
        tree.export_arrays(progress=fail)
    with pytest.raises(MyError):
        tree.knn(50, progress=fail)
    with pytest.raises(MyError):
        tree.radius(0.2, progress=fail)
    with pytest.raises(MyError):
        tree.validate(progress=fail)
    assert tree.knn(1, queries=[0]).tolist() == [[0]]


@pytest.mark.parametrize(
    "call", ["cover_tree(points)", "cover_tree(points).export_arrays()", "tree.knn(200)", "tree.save('tree')"]
)
def test_ctrl_c_stops_a_long_call(call, tmp_path):
    program = f"""
        import os, signal, threading, time, numpy as np
        from covertreex import cover_tree, load
        points = np.random.default_rng(0).standard_normal((300_000, 6))
        tree = cover_tree(points)
        tree.save("tree")
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        start = time.monotonic()
        try:
            while True:
                {call}
        except KeyboardInterrupt:
            print("interrupted", time.monotonic() - start)
        assert os.listdir() == ["tree"]
        queries = np.arange(0, 300_000, 1000)
        assert (load("tree").knn(3, queries=queries) == tree.knn(3, queries=queries)).all()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=tmp_path,
    )
    word, seconds = done.stdout.split()
    assert word == "interrupted"
    assert float(seconds) < 5


def test_an_exception_of_a_signal_while_the_thread_starts_ends_the_call(rng, monkeypatch):
    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        raise TimeoutError("of a handler of SIGALRM")

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    shares = []
    with pytest.raises(TimeoutError):
        cover_tree(rng.standard_normal((300_000, 6)), progress=shares.append)
    before = len(shares)
    time.sleep(0.5)
    assert len(shares) == before


def refuse_threads(monkeypatch):
    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)


def test_without_threads_the_calling_one_does_the_work(rng, monkeypatch):
    points = rng.standard_normal((2000, 3))
    expected = cover_tree(points).knn(5)
    refuse_threads(monkeypatch)
    shares = []
    tree = cover_tree(points, progress=lambda share: shares.append((share, threading.current_thread())))
    np.testing.assert_array_equal(tree.knn(5), expected)
    assert {thread for _, thread in shares} <= {threading.main_thread()}
    with pytest.raises(ValueError, match="finite"):
        cover_tree(np.full((2000, 3), np.nan))


def test_without_threads_a_signal_ends_a_call(rng, monkeypatch):
    def handler(*_):
        raise TimeoutError("of a handler")

    tree = cover_tree(rng.standard_normal((200_000, 6)))
    refuse_threads(monkeypatch)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)}
    signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(TimeoutError, match="of a handler"):
            while True:
                tree.knn(100)
        monkeypatch.setattr(library.lib, "covertree_tree_build", lambda *_: signal.raise_signal(2) or 0)
        with pytest.raises(KeyboardInterrupt):
            cover_tree(np.zeros((2000, 3)))
        assert signal.getsignal(signal.SIGALRM) is handler
    finally:
        for number, known in before.items():
            signal.signal(number, known)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_system_that_refuses_threads(tmp_path):
    (tmp_path / "refuse.c").write_text("int pthread_create(void) { return 11; }  /* EAGAIN */")
    library = tmp_path / "refuse.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "refuse.c"], check=True)
    program = """
        import threading
        import numpy as np
        from covertreex import cover_tree, vecchia
        from covertreex.indexes import HNSW
        from covertreex.kernels import RBF
        try:
            threading.Thread(target=print).start()
        except RuntimeError:
            print("refused")
        points = np.random.default_rng(0).standard_normal((3000, 3))
        print(cover_tree(points).knn(5).sum())
        print(vecchia.neighbors(points, kernel=RBF(), m=5, n_inducing=20).neighbors.sum())
        index = HNSW(3)
        index.add(range(3000), points.astype(np.float32))
        print(index.knn(3, queries=points[:1500].astype(np.float32))[0].sum())
    """

    def printed(**preloaded):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            capture_output=True, text=True, timeout=120, check=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **preloaded},
        )  # fmt: skip
        return done.stdout.splitlines()

    refused = printed(LD_PRELOAD=str(library))
    assert refused[0] == "refused"
    assert refused[1:] == printed()[-3:]


def _child(tree, queries, pipe):
    pipe.send(tree.knn(5, queries=queries))
    tree.insert(queries)
    pipe.send((len(tree), cover_tree(queries).knn(2)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork(rng):
    points, queries = rng.standard_normal((20_000, 3)), rng.standard_normal((5_000, 3))
    tree = cover_tree(points, n_threads=4)
    expected = tree.knn(5, queries=queries, n_threads=4)
    context = multiprocessing.get_context("fork")
    for _ in range(10):
        ours, theirs = context.Pipe()
        child = context.Process(target=_child, args=(tree, queries, theirs))
        child.start()
        assert (tree.knn(5, queries=queries) == expected).all()
        assert ours.poll(60), "the child hangs"
        assert (ours.recv() == expected).all()
        count, nearest = ours.recv()
        assert count == 25_000
        assert (nearest == cover_tree(queries).knn(2)).all()
        child.join(60)
        assert child.exitcode == 0
    assert len(tree) == 20_000


def test_views_outlive_their_tree(rng):
    points = rng.standard_normal((5000, 3))
    tree = cover_tree(points)
    arrays = tree.export_arrays()
    copies = [None if a is None else a.copy() for a in arrays]
    tree.insert(points)
    tree.remove(np.arange(4000))
    gone = weakref.ref(tree)
    del tree
    gc.collect()
    assert gone() is None
    levels = arrays.levels
    for view, copy in zip(arrays, copies):
        if view is not None:
            assert (view == copy).all()
    expected = copies[2]
    del arrays, view
    gc.collect()
    cover_tree(points + 1)  # would fill memory that was freed
    assert (levels == expected).all()


def test_lists_outlive_their_tree(rng):
    tree = cover_tree(rng.standard_normal((2000, 3)))
    lists = tree.radius(0.5, return_distances=True)
    copies = [a.copy() for a in lists]
    tree.close()
    gc.collect()
    for view, copy in zip(lists, copies):
        assert (view == copy).all()
        assert not view.flags.writeable


def test_exported_arrays(rng):
    arrays = cover_tree(rng.standard_normal((3000, 3)).astype(np.float32)).export_arrays()
    for name, array in arrays._asdict().items():
        if array is None:
            continue
        assert not array.flags.writeable, name
        assert array.flags.c_contiguous, name
        assert array.ctypes.data % 64 == 0, name
        with pytest.raises(ValueError):
            array[0] = 0
    assert arrays.points.dtype == arrays.radius.dtype == np.float32


def test_freed_handles_are_errors():
    lib = library.lib
    for handle in (None, 1, 0xDEADBEEF, 2**63):
        with pytest.raises(ValueError, match="tree"):
            library.check(lib.covertree_tree_validate(handle, None))
        lib.covertree_tree_free(handle)
    tree = cover_tree(np.zeros((2, 2)))
    stale = tree._handle.value
    tree.close()
    with pytest.raises(ValueError, match="freed"):
        library.check(lib.covertree_tree_validate(stale, None))


def test_memory_is_given_back(rng):
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    points = rng.standard_normal((20_000, 3))
    for round_ in range(60):
        tree = cover_tree(points)
        tree.knn(5)
        tree.radius(0.1)
        tree.export_arrays()
        if round_ == 20:
            before = resident()
    assert resident() - before < 8e6


@pytest.mark.skipif(not HEADER.exists(), reason="the header is not beside the tests")
def test_header_and_signatures_agree():
    """Every function of the headers is declared in Python, with as many parameters of the same kinds."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text() + PARTITIONS.read_text(), flags=re.S)
    header = {
        name: [p.strip() for p in parameters.split(",")] if parameters.strip() != "void" else []
        for name, parameters in re.findall(r"\b(covertree_\w+)\s*\(([^()]*)\)\s*;", text)
    }
    declared = {name: arguments for name, (_, arguments) in signatures.SIGNATURES.items()}
    assert set(header) == set(declared)
    scalars = {
        "int32_t": "c_int",
        "uint32_t": "c_uint",
        "int64_t": "c_long",
        "uint64_t": "c_ulong",
        "double": "c_double",
    }
    for name, parameters in header.items():
        assert len(parameters) == len(declared[name]) <= 7, name
        for parameter, ctype in zip(parameters, declared[name]):
            kind = parameter.rsplit(" ", 1)[0]
            is_pointer = "*" in parameter
            pointers = ctype.__name__ in {"c_void_p", "c_char_p"} or ctype.__name__.startswith("LP_")
            assert is_pointer == pointers, (name, parameter)
            if not is_pointer:
                assert ctype.__name__ == scalars[kind], (name, parameter)


@pytest.mark.skipif(not HEADER.exists(), reason="no header here")
def test_structs_have_the_size_of_the_header(tmp_path):
    text = HEADER.read_text() + PARTITIONS.read_text()
    words = re.compile("(?<!^)(?=[A-Z])")
    names = {
        "covertree_" + words.sub("_", name).lower(): struct
        for name, struct in vars(structs).items()
        if isinstance(struct, type) and hasattr(struct, "_fields_") and not name.startswith("_")
    }
    # Ids have two fields, which the binding passes as an array.
    defined = set(re.findall(r"^typedef struct (covertree_\w+) \{", text, flags=re.M))
    assert defined - set(names) <= {"covertree_id"}
    lines = []
    for name, struct in names.items():
        for field, *_ in struct._fields_:
            lines.append(f'printf("%zu ", offsetof({name}, {field}));')
        lines.append(f'printf("%zu\\n", sizeof({name}));')
    source = tmp_path / "sizes.c"
    source.write_text(f'#include <stdio.h>\n#include "{PARTITIONS}"\nint main(void) {{ {" ".join(lines)} return 0; }}')
    subprocess.run(["cc", str(source), "-o", str(tmp_path / "sizes")], check=True)
    printed = subprocess.run([str(tmp_path / "sizes")], capture_output=True, text=True, check=True).stdout
    for line, struct in zip(printed.splitlines(), names.values()):
        *offsets, size = map(int, line.split())
        assert offsets == [getattr(struct, field).offset for field, *_ in struct._fields_]
        assert size == __import__("ctypes").sizeof(struct)


def test_build_info():
    assert build_info().startswith("covertree 1.0.0 x86-64-v")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
