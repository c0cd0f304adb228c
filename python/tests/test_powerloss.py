"""Power failures, simulated: what was written is recorded, and what a disk may have of it is opened (``powerloss.py``).

``COVERTREE_POWER_STATES``: how many disks are checked for stores; ``make soak`` checks 100,000.
"""

import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import powerloss
import powerloss_work
import pytest
from powerloss import CREATE, FAILED_SYNC, MARK, MKDIR, PUNCH, RENAME, SYNC, TRUNCATE, UNLINK, WRITE, Call

STATES = int(os.environ.get("COVERTREE_POWER_STATES", "6800"))
#: How many failures one record has, and how many different states about come of them.
FAILURES, STATES_OF_RECORD = 400, 340
#: The share of each.
STORES = {
    "full": 0.16,
    "normal": 0.16,
    "off": 0.18,
    "off, then full": 0.1,
    "off, then normal": 0.1,
    "normal, then full": 0.1,
    "full, failing": 0.1,
    "normal, failing": 0.1,
}


@pytest.fixture
def memory():
    """A folder in memory, if there is one: disks are laid there, and nothing waits."""
    folder = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture
def python(preloaded):
    """Give a function that runs Python, recorded or not; what it prints."""

    def run(*arguments, recorded):
        environment = {"LD_PRELOAD": str(preloaded("powerloss.c"))} if recorded else {}
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True, text=True, env={**os.environ, **environment}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def failures(python, memory, tmp_path):
    """Give a function that runs a scenario once for each seed, and sums up what was found after power failures."""

    def sum_up(scenario, seeds, n_states):
        states, faults, examples = 0, 0, {}
        for seed in seeds:
            folder, record, disk = tmp_path / "folder", tmp_path / "record", memory / "disk"
            folder.mkdir()
            python(powerloss_work.__file__, "record", folder, record, scenario, seed, recorded=True)
            # With "normal" a failed sync may lose several changes, and the next change writes only its own pages again.
            forgets = scenario != "normal, failing"
            arguments = ("replay", record, disk, n_states, seed, int(forgets))
            found = json.loads(python(powerloss_work.__file__, *arguments, recorded=False))
            states, faults = states + found["states"], faults + found["faults"]
            examples.update({f"seed {seed}: {what}": said for what, said in found["examples"].items()})
            record.unlink()
            shutil.rmtree(folder)
        return states, faults, examples

    return sum_up


@pytest.mark.parametrize("scenario", STORES)
def test_stores(failures, scenario):
    wanted = int(STATES * STORES[scenario])
    n_records = -(-wanted // STATES_OF_RECORD)
    states, faults, examples = failures(scenario, range(n_records), FAILURES)
    assert faults == 0, examples
    assert states > 0.7 * wanted


@pytest.mark.parametrize(("scenario", "fewest"), [("files", 200), ("partitions", 200)])
def test_saved(failures, scenario, fewest):
    """What is saved is there completely, or what was there before."""
    states, faults, examples = failures(scenario, range(max(5, STATES // 1000)), FAILURES)
    assert faults == 0, examples
    assert states > fewest


@pytest.mark.parametrize("careless", ["without a sync", "without a sync of the folder"])
def test_carelessness_is_found(failures, careless):
    states, faults, examples = failures(careless, range(2), 200)
    assert states > 20 and faults > 0
    assert any("is not there" in said or "in a state" in said for said in examples.values())


FAILED_COMMITS = """
    import ctypes, sys
    import numpy as np
    from covertreex import VectorStore

    recorder, vectors = ctypes.CDLL(None), iter(np.random.default_rng(0).standard_normal((600, 4)))
    recorder.record_start(sys.argv[1].encode(), sys.argv[2].encode())
    path = sys.argv[1] + "/store"
    store = VectorStore.open(path, 4)

    def add(one, count=1, fails=False):
        # The rows are synced first, then the commit.
        recorder.record_fail_sync(ctypes.c_long(1 if fails else -1))
        try:
            slots = store.add_batch(range(one, one + count), [next(vectors) for _ in range(count)]).tolist()
            assert not fails
            return slots
        except OSError:
            assert fails and one not in store

    assert add(0, 3) == [0, 1, 2]
    store.remove(1)
    add(10, 2, fails=True)  # in slots 1 and 3
    add(20, 254, fails=True)  # 4 to 257: of another page of the catalogue, too
    assert add(30) == [258]
    assert sorted(add(40, 257)) == [1, *range(3, 258), 259]
    assert store.stats().n_ids == 260 and store.stats().n_slots == 260
    store.check()
    store.close()
    with VectorStore.open(path) as store:
        store.check()
        assert len(store) == 260
        # What a failed compaction has listed is not given out either.
        freed = store.slots([2, 296]).tolist()
        store.remove_batch([2, 296])
        recorder.record_fail_sync(ctypes.c_long(0))
        try:
            store.compact()
            raise SystemExit("did not fail")
        except OSError:
            pass
        assert add(500) == [260]
        assert sorted(add(600, 2)) == sorted(freed)
        store.compact()
        store.check()
"""


def test_slots_of_a_failed_commit_wait_for_another_one(python, tmp_path):
    (tmp_path / "folder").mkdir()
    python("-c", textwrap.dedent(FAILED_COMMITS), tmp_path / "folder", tmp_path / "record", recorded=True)


TURNOVER = """
    import ctypes, pickle, sys
    import numpy as np
    from covertreex import VectorStore

    recorder, mode = ctypes.CDLL(None), sys.argv[3]
    recorder.record_start(sys.argv[1].encode(), sys.argv[2].encode())
    with VectorStore.open(sys.argv[1] + "/store", 4, sync=mode) as store:
        data = pickle.dumps(("begins", ("store", "store")))
        recorder.record_mark(data, len(data))
        for one in range(200):
            store.add(one, [one, 1, 2, 3])
            if one >= 10:
                store.remove(one - 10)
        recorder.record_mark(data, len(data))
        print(store.stats().n_slots)
"""


@pytest.mark.parametrize(
    ("mode", "most_syncs", "most_slots"),
    # An add has new rows and is committed; slots are used again at once, or when many are free.
    [("full", 200 + 200 + 190, 11), ("normal", 200 + 2 * 3, 140), ("off", 0, 11)],
)
def test_how_often_a_change_waits_for_the_disk(python, tmp_path, mode, most_syncs, most_slots):
    (tmp_path / "folder").mkdir()
    arguments = (tmp_path / "folder", tmp_path / "record", mode)
    n_slots = int(python("-c", textwrap.dedent(TURNOVER), *arguments, recorded=True))
    kinds = [one.kind for one in powerloss.calls(tmp_path / "record")]
    first = kinds.index(MARK)
    syncs = kinds[first : kinds.index(MARK, first + 1)].count(SYNC)
    assert most_syncs * 0.9 <= syncs <= most_syncs + 5  # SQLite syncs the folder of a new log, and at checkpoints
    assert n_slots <= most_slots


#: Inodes, and places.
ROOT, FILE, OTHER = 0, 1, 2


def after(*calls, forgets=True):
    disk = powerloss.Disk(forgets)
    for call in (Call(MKDIR, ROOT, 0, 0, "", "", b""), *calls):
        disk.call(call)
    return disk


def call(kind, inode=FILE, *, offset=0, length=0, path="", other="", data=b""):
    return Call(kind, inode, offset, length, path, other, data)


def all_failures(disk):
    return [powerloss.failure(disk, random.Random(seed)) for seed in range(300)]


NAMED = (call(CREATE, path="a"), call(SYNC, ROOT))


def test_synced_data_is_there():
    disk = after(*NAMED, call(WRITE, data=b"one"), call(SYNC), call(WRITE, offset=2, data=b"two"))
    assert {contents["a"] for contents in all_failures(disk)} == {b"one", b"ontwo"}
    assert disk.contents({FILE: powerloss.everything}) == {"a": b"ontwo"}


def test_a_write_is_torn_at_sectors():
    old, new = bytes(1536), b"x" * 1536
    disk = after(*NAMED, call(WRITE, data=old), call(SYNC), call(WRITE, data=new))
    found = {contents["a"] for contents in all_failures(disk)}
    assert found == {b"".join(parts) for parts in itertools.product((bytes(512), b"x" * 512), repeat=3)}


def test_lengths_and_holes():
    disk = after(*NAMED, call(WRITE, data=b"12345678"), call(SYNC), call(TRUNCATE, length=6), call(PUNCH, length=2))
    assert disk.contents({FILE: powerloss.everything}) == {"a": b"\0\x003456"}
    found = {contents["a"] for contents in all_failures(disk)}
    assert found == {b"12345678", b"123456", b"\0\x00345678", b"\0\x003456"}


def test_names_are_there_after_a_sync_of_the_folder():
    disk = after(
        *NAMED, call(CREATE, OTHER, path="b"), call(WRITE, OTHER, data=b"new"), call(SYNC, OTHER),
        call(RENAME, OTHER, path="b", other="a"),
    )  # fmt: skip
    assert {tuple(sorted(contents.items())) for contents in all_failures(disk)} == {
        (("a", b""),), (("a", b""), ("b", b"new")), (("a", b"new"),)
    }  # fmt: skip
    disk.call(call(SYNC, ROOT))
    assert {tuple(contents.items()) for contents in all_failures(disk)} == {(("a", b"new"),)}
    disk.call(call(UNLINK, path="a"))
    assert {tuple(contents.items()) for contents in all_failures(disk)} == {(("a", b"new"),), ()}


@pytest.mark.parametrize("forgets", [True, False])
def test_data_of_a_failed_sync(forgets):
    failed = (*NAMED, call(WRITE, data=b"x"), call(WRITE, offset=4096, data=b"y"), call(FAILED_SYNC), call(SYNC))
    kept, lost = b"x" + bytes(4095) + b"y", bytes(4097)
    found = {contents["a"] for contents in all_failures(after(*failed, forgets=forgets))}
    assert found == ({kept, lost, kept[:1] + lost[1:], lost[:4096] + b"y"} if forgets else {kept})
    # Another write takes the rest of its page with it.
    again = after(*failed, call(WRITE, offset=4095, data=b"z"), call(SYNC), forgets=forgets)
    assert {contents["a"][:4096] for contents in all_failures(again)} == {b"x" + bytes(4094) + b"z"}
