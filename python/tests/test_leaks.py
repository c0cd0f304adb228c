"""Calls that fail leave nothing in memory: arguments, callbacks and handles are gone once the exception is dropped."""

import contextlib
import ctypes
import functools
import gc
import inspect
import os
import signal
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from native_calls import CALLS, ROWS, folder, index, new, nowhere, residual, rows, saved, stored, tree

import covertreex
from covertreex import MappedTree, VectorStore, cover_tree, vecchia
from covertreex._capi import indexes, library, running, signatures
from covertreex.indexes import HNSW
from covertreex.kernels import Matern52


def functions():
    """Functions of the library that can fail, with the types of their arguments."""
    for name, (result, types) in signatures.SIGNATURES.items():
        if (result is ctypes.c_int32 and types) or name.endswith("_free"):
            yield name, types


class Ledger:
    """Watches the library: which of its functions are called, which handles it has given and not got back."""

    def __init__(self, monkeypatch):
        self.called, self.handles = [], set()
        self.before = self.after = self._nothing
        for name, types in functions():
            function = getattr(library.lib, name)
            call = self._free if name.endswith("_free") else self._call
            monkeypatch.setattr(library.lib, name, functools.partial(call, name, function, types))

    @staticmethod
    def _nothing(name, arguments):
        pass

    @contextlib.contextmanager
    def unhooked(self):
        hooks = self.before, self.after
        self.before = self.after = self._nothing
        yield
        self.before, self.after = hooks

    def _free(self, name, function, types, handle):
        self.handles.discard(handle.value)
        function(handle)

    def _call(self, name, function, types, *arguments):
        self.called.append(name)
        self.before(name, arguments)
        status = function(*arguments)
        given = [given for given, kind in zip(arguments, types) if kind is signatures.HANDLE_OUT][:1]
        if status == 0 and given != [None]:
            self.handles |= {getattr(one, "_obj", one).value for one in given}
        self.after(name, arguments)
        return status


@pytest.fixture(scope="module")
def frozen():
    """What lives before these tests is no garbage: collecting it again each time would take most of their time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def ledger(monkeypatch, frozen):
    """Without the garbage collector: references alone are to do it."""
    gc.collect()
    gc.disable()
    yield Ledger(monkeypatch)
    gc.enable()


def subject_of(name):
    make = CALLS[name][0]
    return None if make is None else make()


def references(call, subject, expected, makers, makers_of_options):
    """Weak references to what a call got that fails."""
    arrays, options = [make() for make in makers], {key: make() for key, make in makers_of_options.items()}
    try:
        call(subject, *arrays, **options)
    except expected:
        return [weakref.ref(one) for one in (*arrays, *options.values())]
    raise AssertionError("the call did not fail")


def check_nothing_is_left(ledger, name, expected, makers, **makers_of_options):
    """Make a call that fails, drop its exception, and look for what it got and for what it made."""
    with ledger.unhooked():
        subject, call = subject_of(name), CALLS[name][1]
    # An exception that a test before this one has kept refers to calls of that test.
    handles, callees = set(ledger.handles), set(running._callees)

    watched = references(call, subject, expected, makers, makers_of_options)
    assert [one() for one in watched if one() is not None] == []
    made = [one for number, one in running._callees.items() if number not in callees]
    assert not [one for one in made if isinstance(one, running._Watch)]
    # What the object has made since, such as a tree that is built when first asked for, goes with it.
    del subject
    assert ledger.handles <= handles


@pytest.mark.parametrize("name", [name for name, (*_, wrong) in CALLS.items() if wrong is not None])
def test_errors(ledger, name):
    errors = (ValueError, IndexError, KeyError, OSError, covertreex.CoverTreeError)
    check_nothing_is_left(ledger, name, errors, CALLS[name][3])


def has_progress(name):
    return any(
        one.kind is inspect.Parameter.VAR_KEYWORD for one in inspect.signature(CALLS[name][1]).parameters.values()
    )


class Mine(Exception):
    pass


def failing_report():
    def report(share):
        raise Mine

    return report


@pytest.mark.parametrize("name", list(filter(has_progress, CALLS)))
def test_reports_that_raise(ledger, name):
    def report(_, arguments):  # as the library does in calls that take longer
        for one in arguments:
            options = getattr(one, "_obj", None)
            if getattr(options, "progress", None):
                options.progress(options.progress_user_data, 0.5)

    ledger.before = report
    check_nothing_is_left(ledger, name, Mine, CALLS[name][2], progress=failing_report)


class Interrupt:
    """Sends SIGINT in the first call of a function of the library, and waits until it has arrived."""

    def __init__(self, name):
        self.name, self.sent, self.before = name, False, set(running._callees)

    def __call__(self, name, _):
        if name != self.name or self.sent:
            return
        self.sent = True
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # which raises here in the main thread
        deadline = time.monotonic() + 60
        made = [one for number, one in running._callees.items() if number not in self.before]
        while not all(one.cancelled for one in made if isinstance(one, running._Watch)):
            assert time.monotonic() < deadline
            time.sleep(0.0001)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", [name for name, (*_, wrong) in CALLS.items() if wrong != []])
def test_interrupts(ledger, name, when):
    """Ctrl-C at the beginning and at the end of what the library does, in each of its functions that a call needs."""
    for _ in range(2):  # the first time makes what is made once
        subject = subject_of(name)
        ledger.called.clear()
        CALLS[name][1](subject, *(make() for make in CALLS[name][2]))
    called = dict.fromkeys(ledger.called)
    del subject
    for function in called:
        setattr(ledger, when, Interrupt(function))
        check_nothing_is_left(ledger, name, KeyboardInterrupt, CALLS[name][2])


def test_all_functions_are_tried(ledger):
    for name, (_, call, good, wrong) in CALLS.items():
        if wrong == []:
            continue
        call(subject_of(name), *(make() for make in good))
    known = {name for name, _ in functions() if not name.endswith("_free")}
    assert known - set(ledger.called) == {"covertree_set_num_threads"}


class Hosted:
    """A kernel that only Python knows, and that raises on demand."""

    def __init__(self):
        self.fails = False

    def __call__(self, a, b):
        if self.fails:
            raise Mine
        return Matern52(0.4)(a, b)


HOSTED = {
    "building": lambda tree, x: cover_tree(x, kernel=tree.kernel, inducing_count=20),
    "features": lambda tree, x: tree.features(x),
    "insert": lambda tree, x: tree.insert(x),
    "knn": lambda tree, x: tree.knn(3, queries=x),
    "knn of all": lambda tree, x: tree.knn(3),
    "conditioning sets": lambda tree, x: tree.conditioning_sets(3, queries=x, cond="all"),
    "with_points": lambda tree, x: tree.with_points(x),
    "with_kernel": lambda tree, x: tree.with_kernel(tree.kernel, inducing_points=x),
    "refit": lambda tree, x: tree.refit(tree.kernel, inducing_points=x),
    "candidates": lambda tree, x: tree.knn(3, candidates=5),
    "neighbors": lambda tree, x: vecchia.neighbors(x, kernel=tree.kernel, m=3),
    "VIF": lambda tree, x: vecchia.VIF(x, kernel=tree.kernel, noise=0.1, n_neighbors=3, n_inducing=5),
}


@pytest.mark.parametrize("name", HOSTED)
def test_kernels_that_raise(ledger, name):
    tree = cover_tree(ROWS, kernel=Hosted(), inducing_count=20)
    tree.kernel.fails = True
    (points,) = references(HOSTED[name], tree, Mine, [rows(count=30)], {})
    assert points() is None
    assert tree._callback.errors == []
    tree.kernel.fails = False
    assert tree.knn(2, queries=ROWS[:2]).shape == (2, 2)
    kernel, callback = weakref.ref(tree.kernel), weakref.ref(tree._callback)
    del tree
    assert (kernel(), callback()) == (None, None)
    assert not ledger.handles


# Files


def damaged(path, number=-1):
    data = bytearray(path.read_bytes())
    data[number] ^= 255
    copy = new()
    copy.write_bytes(data)
    return copy


def folder_with(name, data):
    path = new()
    path.mkdir()
    (path / name).write_bytes(data)
    return path


def refused_ids():
    """An index whose file names a section of ids that cannot be read."""
    made = index()
    path = new()
    sections = {"covertreex.ids": np.zeros(3, np.uint8), "covertreex.keys": np.zeros(1, np.int64)}
    indexes.save(made._open(), str(path), sections, n_threads=0)
    return path


REFUSED = {
    "a file of other points": lambda: (covertreex.load, saved(tree), {"points": ROWS + 1}),
    "a file that is cut off": lambda: (covertreex.load, cut_off(saved(tree)), {}),
    "a damaged file": lambda: (covertreex.load, damaged(saved(tree)), {"verify": True}),
    "a damaged table": lambda: (covertreex.load, damaged(saved(residual), 80), {}),
    "a missing file": lambda: (covertreex.load, nowhere(), {}),
    "an index of damaged ids": lambda: (covertreex.load, refused_ids(), {}),
    "an index of another kind": lambda: (HNSW.load, saved(index), {}),
    "a missing store": lambda: (VectorStore.open, nowhere(), {"dim": 2}),
    "a store of another dimension": lambda: (VectorStore.open, stored(), {"dim": 3}),
    "a damaged store": lambda: (VectorStore.open, folder_with("catalogue.sqlite", b"nothing" * 1000), {"dim": 2}),
    "partitions of nothing": lambda: (MappedTree, folder_with("partitions.json", b"{}"), {}),
}


def cut_off(path):
    copy = new()
    copy.write_bytes(path.read_bytes()[:-100])
    return copy


def in_use():
    """Open descriptors, and files that are mapped."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    return len(os.listdir("/proc/self/fd")), maps.count(str(folder()))


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_cannot_be_opened_are_closed(ledger, name):
    open_it, path, options = REFUSED[name]()

    def fail():
        with contextlib.suppress(ValueError, TypeError, OSError, covertreex.CoverTreeError):
            open_it(path, **options)
            raise AssertionError("it was opened")

    fail()
    before, handles = in_use(), set(ledger.handles)
    for _ in range(500):
        fail()
    assert in_use() == before
    assert ledger.handles == handles


def test_stores_that_are_open_elsewhere():
    path = new()
    with VectorStore.open(path, 2) as first:
        before = in_use()
        for _ in range(500):
            with pytest.raises(covertreex.CoverTreeError, match="path"):
                VectorStore.open(path, 2)
        assert in_use() == before
        assert len(first) == 0
