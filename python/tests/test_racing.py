"""Arrays that another thread writes to while a call reads them: nothing crashes, hangs or makes a damaged object."""

import contextlib
import ctypes
import faulthandler
import itertools
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from native_calls import CALLS

import covertreex
from covertreex import CoverTree, ResidualTree, VectorStore, cover_tree
from covertreex.indexes._vector_index import VectorIndex

# Seconds in which a search is repeated, and a call that makes or changes an object.
SEARCH, CHANGE = 0.05, 0.25
WRONG = {"f": [np.nan, np.inf, -1e30], "i": [-1, 2**62, -(2**63), 299]}
REFUSALS = (ValueError, IndexError, KeyError, TypeError, OSError, covertreex.CoverTreeError)
# Calls with these words in their names change the object that they are made on.
CHANGES = ("add", "insert", "update", "remove", "refit")
# Names of calls with arrays that the library reads.
NAMES = [name for name, (_, _, makers, _) in CALLS.items() if makers]


def shared(array):
    """A copy in memory that a forked process has, too."""
    copy = np.frombuffer(mmap.mmap(-1, array.nbytes), array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def writes(array):
    """Addresses in an array, with wrong and right bytes to write there, for some numbers here and there."""
    right = array.copy().reshape(-1)
    some = min(8, array.size)
    for position, number in zip(range(0, array.size - some + 1, 37), itertools.cycle(WRONG[array.dtype.kind])):
        wrong = np.full(some, number, array.dtype)
        yield array.ctypes.data + position * array.itemsize, bytes(wrong), bytes(right[position : position + some])


@contextlib.contextmanager
def writer(arrays):
    """Put wrong numbers into arrays and take them out again, in a process that does not wait for a lock of this one."""
    pid = os.fork()
    if pid == 0:
        parent, copy, sequence = os.getppid(), ctypes.memmove, [one for array in arrays for one in writes(array)]
        while os.getppid() == parent:
            for address, wrong, right in sequence:
                copy(address, wrong, len(wrong))
                copy(address, right, len(right))
        os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def check(thing):
    """Raise for an object that is damaged."""
    path = Path(tempfile.mkdtemp()) / "saved"
    if isinstance(thing, CoverTree):
        assert np.isfinite(thing.export_arrays().points).all()
        thing.validate()
    elif isinstance(thing, ResidualTree):
        thing.save(path)
        assert np.isfinite(covertreex.load(path, verify=True).knn(2, return_distances=True)[1]).any()
    elif isinstance(thing, VectorIndex):
        thing.save(path)
        opened = covertreex.indexes.load(path, verify=True, store=thing.store)
        assert len(set(opened.ids.tolist())) == len(opened)
        if thing.store is None:
            assert np.isfinite(opened.get(opened.ids)).all()
    elif isinstance(thing, VectorStore):
        thing.check()
        assert all(np.isfinite(thing.get_slot(slot)).all() for _, slot in thing.items())


def race(make, call, makers, *, changes):
    """Make a call again and again while its arrays are written to, on a new object after each change."""
    subject, arrays = None if make is None else make(), [shared(make_array()) for make_array in makers]
    with writer(arrays):
        end = time.monotonic() + (CHANGE if make is None or changes else SEARCH)
        while time.monotonic() < end:
            try:
                result = call(subject, *arrays)
            except REFUSALS:
                continue
            if make is None:
                check(result)
            elif changes:
                check(subject)
                subject = make()
    check(subject)


def many(dtype):
    """Enough points for threads to share the work."""
    return lambda: np.random.default_rng(0).standard_normal((30000, 3)).astype(dtype)


BUILDS = {
    f"cover_tree of many, {dtype.__name__}": (None, lambda _, x: cover_tree(x), [many(dtype)])
    for dtype in (np.float32, np.float64)
}


def main(names):
    faulthandler.dump_traceback_later(60, exit=True)
    for name in names:
        print(name, flush=True)
        race(*{**CALLS, **BUILDS}[name][:3], changes=any(word in name for word in CHANGES))
    print("all survived")


@pytest.mark.parametrize(
    "names", [*(NAMES[part::4] for part in range(4)), list(BUILDS)], ids=["1", "2", "3", "4", "builds"]
)
def test_no_call_falls_over_an_array_that_changes(names):
    """In a process of its own, as a crash would end this one; in parts, so that a failure says where."""
    done = subprocess.run(
        [sys.executable, __file__, *names],
        check=False, capture_output=True, text=True, timeout=150, env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["all survived"]), (done.stdout, done.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
