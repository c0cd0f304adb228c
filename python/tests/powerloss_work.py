"""What is done before a power failure, and what has to be there after it: scenarios of ``test_powerloss.py``.

``powerloss_work.py record FOLDER RECORD SCENARIO SEED`` does it, under the recorder, in a folder that is empty.
``powerloss_work.py replay RECORD FOLDER STATES SEED FORGETS`` lays what the disk may have in a folder, opens it, and
compares.

A scenario changes *parts*, each a store, a file or a folder with a name. Before a change it says what the part will be,
as the part's reader in ``READERS`` would find it; afterwards it says that the change has returned.
"""

import ctypes
import errno
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import powerloss

import covertreex
from covertreex import CoverTreeError, VectorStore, _writing
from covertreex.indexes import HNSW, LSH, BruteForce, KDTree

DIMS = (3, 3, 150, 150, 1100)  # rows of less than a sector, of more, and of more than a page
#: What a reader finds where the library refuses a part with an error of its own.
REFUSED = "refused"
QUERIES = np.random.default_rng(1).standard_normal((20, 3))


class Teller:
    """Says in the record what is done with a part."""

    def __init__(self, kind, name):
        self.part = (kind, name)
        self._recorder = ctypes.CDLL(None)

    def _say(self, action, *more):
        data = pickle.dumps((action, self.part, *more))
        self._recorder.record_mark(data, len(data))

    def change(self, state, change, lasting=True, between=()):
        """Make a change, after which the part's reader finds a state.

        Parameters
        ----------
        lasting : bool
            Whether it withstands a power failure when it has returned.
        between : sequence
            What the reader may find as long as it has not.
        """
        self._say("begins", state, *between)
        try:
            result = change()
        except OSError as error:
            assert error.errno == errno.EIO, error
            self._say("failed")
            return None
        self._recorder.record_fail_sync(ctypes.c_long(-1))
        self._say("lasts" if lasting else "returned", state)
        return result

    def lasts(self, state):
        """All that was done withstands a power failure."""
        self._say("lasts", state)

    def may_be_refused(self):
        """From here on a power failure may damage the part, which is found when it is opened or checked."""
        self._say("damages")


# Scenarios


class Sessions:
    """Sessions of one store, in a mode each: what it is after each is what the next begins with."""

    def __init__(self, folder, seed, failing=False):
        self.folder, self.seed, self.failing = folder, seed, failing
        self.rng = random.Random(seed)
        self.vectors = np.random.default_rng(seed).standard_normal((200, self.rng.choice(DIMS))).astype(np.float32)
        self.copies = 0

    def run(self, *sessions):
        """Each is the name of a mode; with "killed" behind it, the process ends without a close."""
        state = {}
        for number, session in enumerate(sessions):
            mode, *killed = session.split()
            self.rng = random.Random(f"{self.seed} {number}")
            if killed:
                state = self._in_child(mode, state)
            else:
                state, store = self._session(mode, state)
                store.close()

    def _in_child(self, mode, state):
        receiver, sender = os.pipe()
        child = os.fork()
        if not child:
            state, _ = self._session(mode, state)
            with open(sender, "wb") as pipe:
                pickle.dump((state, self.copies), pipe)
            os._exit(0)
        os.close(sender)
        with open(receiver, "rb") as pipe:
            state, self.copies = pickle.load(pipe)
        os.waitpid(child, 0)
        return state

    def _session(self, mode, state):
        path, teller = self.folder / "store", Teller("store", "store")
        if path.exists():
            store = VectorStore.open(path, sync=mode)
            found = {one: store.get(one).tobytes() for one in store}
            # A failed change may be there after all.
            assert found == state or self.failing
            state = found
            if mode != "off":
                teller.lasts(state)
        else:
            dim = self.vectors.shape[1]
            store = teller.change({}, lambda: VectorStore.open(path, dim, sync=mode))
        if mode == "off":
            teller.may_be_refused()
        for _ in range(12):
            if self.failing:
                # 0 is the sync of the rows, 1 the sync of the commit.
                after = self.rng.choice([0, 1, 1, 1, 2, 3]) if self.rng.random() < 0.5 else -1
                ctypes.CDLL(None).record_fail_sync(ctypes.c_long(after))
            state = self._turn(teller, store, state, mode)
            assert dict(store.items()).keys() == state.keys()
        ctypes.CDLL(None).record_fail_sync(ctypes.c_long(-1))
        if self.failing:  # It writes the pages of the log again that a failed sync has lost.
            state = self._add(teller, store, state, 1, lasting=mode == "full")
        return state, store

    def _turn(self, teller, store, state, mode):
        ids, chance, lasting = list(state), self.rng.random(), mode == "full"
        if chance < 0.08:
            teller.change(state, store.compact)
            if mode == "off":
                teller.may_be_refused()
        elif chance < 0.12 and self.copies < 3:
            self._copy(store, state)
        elif chance < 0.18:
            self._checkpoint(mode)
        elif chance < 0.4:
            # At least 64 free slots, which "normal" uses again.
            if len(ids) > 100:
                return self._remove(teller, store, state, self.rng.sample(ids, 100), lasting)
            return self._add(teller, store, state, 120, lasting)
        elif chance < 0.6 and ids:
            count = min(len(ids), self.rng.randint(1, 4))
            return self._remove(teller, store, state, self.rng.sample(ids, count), lasting)
        else:
            return self._add(teller, store, state, self.rng.randint(1, 4), lasting)
        return state

    def _add(self, teller, store, state, count, lasting):
        free = [one for one in [*range(180), *(f"name {i}" for i in range(40))] if one not in state]
        ids = self.rng.sample(free, min(count, len(free)))
        rows = self.vectors[[self.rng.randrange(len(self.vectors)) for _ in ids]]
        new = {**state, **{one: row.tobytes() for one, row in zip(ids, rows)}}
        done = teller.change(new, lambda: store.add_batch(ids, rows), lasting)
        return state if done is None else new

    def _remove(self, teller, store, state, ids, lasting):
        new = {one: row for one, row in state.items() if one not in ids}
        done = teller.change(new, lambda: [store.remove_batch(ids)], lasting)
        return state if done is None else new

    def _copy(self, store, state):
        # A copy withstands a power failure in each mode, and so does a store that is made of it.
        self.copies += 1
        copy, made = f"copy{self.copies}", f"made{self.copies}"
        if Teller("store", copy).change(state, lambda: [store.snapshot(self.folder / copy)]):
            Teller("store", made).change(
                state, lambda: [VectorStore.restore(self.folder / copy, self.folder / made).close()]
            )

    def _checkpoint(self, mode):
        # As SQLite makes it after some thousand pages: another process does it, so that locks stay as they are.
        program = (
            "import sqlite3, sys; database = sqlite3.connect(sys.argv[1], isolation_level=None);"
            "database.execute('PRAGMA synchronous = ' + sys.argv[2]);"
            "database.execute('PRAGMA wal_checkpoint(PASSIVE)')"
        )
        path, sync = self.folder / "store" / "catalogue.sqlite", "FULL" if mode == "full" else "NORMAL"
        subprocess.run([sys.executable, "-S", "-E", "-c", program, path, sync], check=True)


def stores(*sessions, failing=False):
    """Make a scenario of sessions of a store."""
    return lambda folder, seed: Sessions(folder, seed, failing).run(*sessions)


def files(folder, seed):
    """Trees, indexes and other files, each saved over an older one."""
    rng = np.random.default_rng(seed)
    for _ in range(3):
        points = rng.standard_normal((int(rng.integers(30, 200)), 3)).astype(np.float32)
        tree, teller = covertreex.cover_tree(points), Teller("tree", "tree.covertree")
        teller.change(read_tree(tree), lambda tree=tree: [tree.save(folder / "tree.covertree")])
        for kind in (BruteForce, HNSW, KDTree, LSH):
            name, index = f"{kind.__name__}.index", kind(3)
            index.add(np.arange(len(points)), points)
            teller = Teller("index", name)
            teller.change(read_index(index), lambda index=index, name=name: [index.save(folder / name)])
        data, teller = rng.bytes(int(rng.integers(1, 9000))), Teller("bytes", "bytes")
        teller.change(data, lambda data=data: [replace(folder / "bytes", data)])


def replace(path, data):
    """Write a file as Python's part of the package does."""
    with _writing.replacing(path) as file:
        file.write(data)


def partitions(folder, seed):
    """A tree in partitions, in a folder: until it has returned, what is there may be refused."""
    points = np.random.default_rng(seed).standard_normal((300, 3))
    Teller("tree", "partitions").change(
        read_tree(covertreex.cover_tree(points)),
        lambda: covertreex.cover_tree(points, folder=folder / "partitions", partition_size=80),
        between=[REFUSED],
    )


def careless(*, sync):
    """Make a scenario of files that are not replaced as they should be: the simulation has to find that."""

    def run(folder, seed):
        for turn in range(4):
            data = bytes([turn]) * (5000 + int(seed))

            def write(data=data):
                with open(folder / "draft", "wb") as file:
                    file.write(data)
                    if sync:
                        file.flush()
                        os.fsync(file.fileno())
                os.replace(folder / "draft", folder / "bytes")

            Teller("bytes", "bytes").change(data, write)

    return run


SCENARIOS = {
    "full": stores("full", "full killed", "full"),
    "normal": stores("normal", "normal killed", "normal"),
    "off": stores("off", "off killed", "off"),
    "off, then full": stores("off killed", "full", "off", "full"),
    "off, then normal": stores("off killed", "normal", "off", "normal"),
    "normal, then full": stores("normal killed", "full", "normal", "full"),
    "full, failing": stores("full", "full killed", "full", failing=True),
    "normal, failing": stores("normal", "normal killed", "normal", failing=True),
    "files": files,
    "partitions": partitions,
    "without a sync": careless(sync=False),
    "without a sync of the folder": careless(sync=True),
}

# Reading


def read_store(path, rng):
    """The vector of each id of a store; and whether it can be used on."""
    with VectorStore.open(path, sync="off") as store:
        store.check()
        found = {one: store.get(one).tobytes() for one in store}
        if rng.random() < 0.2:
            dim = store.dim
            for turn in range(4):
                store.add(f"new {turn}", np.full(dim, turn, np.float32))
                for one in list(found)[turn : turn + 1]:
                    store.remove(one)
            store.compact()
            store.check()
            left = {one: row for turn, (one, row) in enumerate(found.items()) if turn > 3}
            new = {f"new {turn}": np.full(dim, turn, np.float32).tobytes() for turn in range(4)}
            assert {one: store.get(one).tobytes() for one in store} == {**left, **new}, "it does not go on"
        return found


def read_tree(tree):
    """What a tree answers."""
    indices, distances = tree.knn(3, queries=QUERIES, return_distances=True)
    return indices.tobytes() + distances.tobytes()


def read_index(index):
    """What an index answers, and its vectors."""
    ids, distances = index.knn(3, queries=QUERIES)
    return ids.tobytes() + distances.tobytes() + index.get(index.ids).tobytes()


READERS = {
    "store": read_store,
    "tree": lambda path, rng: read_tree(covertreex.load(path)),
    "index": lambda path, rng: read_index(covertreex.indexes.load(path)),
    "bytes": lambda path, rng: path.read_bytes(),
}


class Expected:
    """What a part may be after a power failure, by what was said of it."""

    def __init__(self):
        self.states, self.next, self.is_damaged = [None], [], False
        #: Of a store: the vectors that each id has had.
        self.had = {}

    def hear(self, action, state=None, *between):
        if action == "begins":
            self.next = [state, *between]
            for one, row in state.items() if isinstance(state, dict) else ():
                self.had.setdefault(one, set()).add(row)
        elif action == "returned":
            self.states, self.next = [*self.states, state], []
        elif action == "failed":
            # It may be there all the same, until another change is.
            self.states, self.next = [*self.states, self.next[0]], []
        elif action == "lasts":
            self.states, self.next, self.is_damaged = [state], [], False
        else:
            self.is_damaged = True

    def fault(self, found):
        """What is wrong with what was found; None where nothing is."""
        if any(found == state for state in (*self.states, *self.next)):
            return None
        if found is None:
            return "is not there"
        if found == REFUSED:
            return None if self.is_damaged else "is refused"
        if isinstance(found, dict):
            wrong = [one for one, row in found.items() if row not in self.had.get(one, ())]
            if wrong:
                return f"{wrong[:3]} have vectors that they never had"
        return "is in a state that it never was in, or not in the last one"


def record(folder, to, scenario, seed):
    """Run a scenario, and see to it that all that it has written was recorded."""
    recorder, folder, to = ctypes.CDLL(None), Path(folder), Path(to)
    recorder.record_start(os.fsencode(folder), os.fsencode(to))
    os.environ.update(POWERLOSS_FOLDER=str(folder), POWERLOSS_RECORD=str(to))
    SCENARIOS[scenario](folder, int(seed))
    recorder.record_stop()
    disk = powerloss.Disk(forgets=False)
    for call in powerloss.calls(to):
        if call.kind != powerloss.MARK:
            disk.call(call)
    whole = disk.contents({number: powerloss.everything for number in range(len(disk.files))})
    there = powerloss.present(folder)
    assert whole == there, [name for name in whole.keys() | there.keys() if whole.get(name) != there.get(name)]


def look(part, folder, rng):
    """What is there of a part, what was said to that, and what is wrong whatever was expected."""
    kind, name = part
    if not (folder / name).exists():
        return None, "", None
    try:
        return READERS[kind](folder / name, rng), "", None
    except (CoverTreeError, OSError) as error:
        return REFUSED, str(error), None
    except (AssertionError, LookupError) as error:  # the latter for an id that has lost its name
        return REFUSED, str(error), "cannot be used"


def replay(made, folder, n_states_wanted, seed, forgets):
    """Look at disks after power failures; a line of JSON says what is wrong."""
    folder, rng, expected = Path(folder), random.Random(int(seed)), {}
    n_states, n_refused, n_faults, examples = 0, 0, 0, {}
    for contents, mark in powerloss.failures(Path(made), int(n_states_wanted), int(seed), forgets == "1"):
        if mark:
            action, part, *more = mark
            expected.setdefault(part, Expected()).hear(action, *more)
            continue
        n_states += 1
        for part, one in expected.items():
            if part[-1] not in contents:
                continue
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            powerloss.lay(contents[part[-1]], folder)
            found, said, wrong = look(part, folder, rng)
            n_refused += found == REFUSED
            fault = wrong or one.fault(found)
            if fault:
                n_faults += 1
                examples.setdefault(f"{part[0]} {fault}"[:60], f"{part[-1]}: {fault} {said}")
    print(json.dumps({"states": n_states, "refused": n_refused, "faults": n_faults, "examples": examples}))


if __name__ == "__main__":
    {"record": record, "replay": replay}[sys.argv[1]](*sys.argv[2:])
