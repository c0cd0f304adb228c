"""A process that ends right before each call that changes a file: in a change, a copy, a compaction."""

import os
import subprocess
import sys
import textwrap

import pytest

# In a process into which `crash.c` was loaded: a child does something, and is ended before its n-th call that writes.
# The store is then as it was before, or as it is afterwards; once the child is not ended any more, it is as afterwards.
BODY = """
    import ctypes, os, shutil, sys
    from pathlib import Path
    import numpy as np
    from covertreex import VectorStore

    crash, folder, what = ctypes.CDLL(None), Path(sys.argv[1]), sys.argv[2]
    DIM, N = 700, 600  # more than one page of the catalogue, and of rows
    rows = np.random.default_rng(0).standard_normal((N + 400, DIM)).astype(np.float32)
    rows[::7] = rows[0]

    first = folder / "first"
    with VectorStore.open(first, DIM) as store:
        store.add_batch([*range(N), *(f"name {i}" for i in range(40))], np.r_[rows[:N], rows[:40]])
        store.remove_batch([*range(100, 400), *range(N - 20, N)])

    def state(path):
        with VectorStore.open(path, read_only=True) as store:
            store.check()
            return {one: store.get(one).tobytes() for one in store}

    def work(path):
        with VectorStore.open(path, sync=sys.argv[3]) as store:
            crash.crash_after(int(n))
            if what == "add":
                store.add_batch([*range(N, N + 400), "one more"], np.r_[rows[N:], rows[:1]])
            elif what == "remove":
                store.remove_batch(["name 3", *range(80)])
            elif what == "compact":
                store.compact()
            elif what == "snapshot":
                store.snapshot(folder / "copy")
            crash.crash_after(-1)

    def restore(path):
        crash.crash_after(int(n))
        VectorStore.restore(path, folder / "copy").close()
        crash.crash_after(-1)

    before, n, ended, seen = state(first), 0, 0, set()
    while True:
        path = folder / "store"
        shutil.copytree(first, path)
        child = os.fork()
        if not child:
            (restore if what == "restore" else work)(path)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -9), (n, code)
        found = state(path)
        if what in ("add", "remove"):
            is_new = found != before
            if is_new:
                gone, came = before.keys() - found.keys(), found.keys() - before.keys()
                assert (len(gone), len(came)) == ((0, 401) if what == "add" else (81, 0)), n
                assert all(found[one] == before[one] for one in found.keys() & before.keys()), n
                expected = np.r_[rows[N:], rows[:1]] + 0.0
                for one, row in zip([*range(N, N + 400), "one more"] if came else [], expected):
                    assert found[one] == row.tobytes(), (n, one)
            seen.add(is_new)
        else:
            assert found == before, n
            copy = folder / "copy"
            if copy.exists():  # it is there completely, or not at all
                assert state(copy) == before, n
            seen.add(copy.exists())
        # Who comes next goes on from there.
        with VectorStore.open(path) as store:
            slot = store.add("next", rows[5])
            store.check()
            assert store.get("next").tobytes() == rows[5].tobytes() and len(store) == len(found) + 1
        if code == 0:
            break
        ended += 1
        shutil.rmtree(path)
        for left in folder.glob("copy*"):
            shutil.rmtree(left)
        n += 1
    print(ended, *sorted(seen))
"""


@pytest.mark.parametrize("sync", ["full", "normal"])
@pytest.mark.parametrize(
    ("what", "fewest"), [("add", 8), ("remove", 5), ("compact", 8), ("snapshot", 12), ("restore", 12)]
)
def test_ended_before_each_call_that_writes(shim, tmp_path, what, fewest, sync):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BODY), str(tmp_path), what, sync],
        capture_output=True, text=True, env={**os.environ, "LD_PRELOAD": str(shim)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ended, *seen = done.stdout.split()
    assert int(ended) >= fewest
    # Both outcomes are there; compacting changes nothing that can be seen.
    assert seen == (["False"] if what == "compact" else ["False", "True"])
