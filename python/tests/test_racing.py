"""Arrays that another thread writes to while a call reads them: nothing crashes, hangs or makes a damaged object."""

import ctypes
import faulthandler
import itertools
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from native_calls import CALLS

import covertreex
from covertreex import CoverTree, ResidualTree, VectorStore, cover_tree
from covertreex._vector_index import VectorIndex

# Seconds in which each call is repeated.
EACH = 0.06
WRONG = {"f": [np.nan, np.inf, -1e30], "i": [-1, 2**62, -(2**63), 299]}
REFUSALS = (ValueError, IndexError, KeyError, TypeError, OSError, covertreex.CoverTreeError)
# Names of calls with arrays that the library reads.
NAMES = [name for name, (_, _, makers, _) in CALLS.items() if makers]


class Writer(threading.Thread):
    """Puts wrong numbers into arrays and takes them out again, with the GIL free while it writes."""

    def __init__(self, arrays):
        super().__init__(daemon=True)
        self.ended = False
        self._writes = [write for array in arrays for write in self._of(array)]

    @staticmethod
    def _of(array):
        """Addresses to write to, with the wrong and the right bytes: some numbers here and there in an array."""
        right = array.copy()
        some = min(8, array.size)
        for place, number in zip(range(0, array.size - some + 1, 37), itertools.cycle(WRONG[array.dtype.kind])):
            wrong = np.full(some, number, array.dtype)
            start = place * array.itemsize
            yield array.ctypes.data + start, wrong, right.reshape(-1)[place : place + some], wrong.nbytes

    def run(self):
        copy = ctypes.CDLL(None).memcpy
        copy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        while not self.ended:
            for address, wrong, right, size in self._writes:
                copy(address, wrong.ctypes.data, size)
                copy(address, right.ctypes.data, size)


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


def race(make, call, makers):
    """Make a call again and again while its arrays are written to."""
    subject, arrays = None if make is None else make(), [make_array() for make_array in makers]
    writer = Writer(arrays)
    writer.start()
    end = time.monotonic() + EACH
    while time.monotonic() < end:
        try:
            result = call(subject, *arrays)
        except REFUSALS:
            continue
        if make is None:
            check(result)
    writer.ended = True
    writer.join()
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
    sys.setswitchinterval(1e-4)
    for name in names:
        print(name, flush=True)
        race(*{**CALLS, **BUILDS}[name][:3])
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
