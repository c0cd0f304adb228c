"""Stores whose files are by somebody else, or are changed by somebody else while they are open."""

import contextlib
import errno
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import textwrap
import uuid
from itertools import islice

import numpy as np
import pytest

from covertreex import CoverTreeError, VectorStore
from covertreex.indexes import HNSW, BruteForce

PAGE = 8192


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "store"
    with VectorStore.open(path, 4) as store:
        store.add_batch([1, 2, "three"], np.eye(4)[:3])
    return path


# All that is done with a folder, in a process of its own: it would not come back, or end.
USE = """
    import sys, numpy as np
    from covertreex import CoverTreeError, VectorStore
    path = sys.argv[1]

    def write():
        with VectorStore.open(path) as store:
            store.add(77, np.ones(4))
            store.compact()

    def read():
        with VectorStore.open(path, read_only=True) as store:
            store.check()

    def restore():
        VectorStore.restore(path, path + "-restored").close()

    for use in (write, read, restore):
        try:
            use()
            print("done")
        except (CoverTreeError, OSError) as error:
            print(type(error).__name__, error)
"""


def used(path, seconds=60):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(USE), str(path)],
        capture_output=True, text=True, check=False, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr)
    said = done.stdout.splitlines()
    assert len(said) == 3
    return said


@contextlib.contextmanager
def catalogue(path):
    with contextlib.closing(sqlite3.connect(path / "catalogue.sqlite")) as database:
        yield database
        database.commit()


# Schemas

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 9 UNION ALL SELECT x + 1 FROM c)"
SCHEMAS = {
    "pages as a view": f"""ALTER TABLE pages RENAME TO p;
        CREATE VIEW pages AS SELECT * FROM p UNION ALL SELECT x, x, x, x'00' FROM ({ENDLESS} SELECT x FROM c)""",
    "state as a view": f"""DROP TABLE state; CREATE VIEW state AS {ENDLESS}
        SELECT x AS one, 4 AS dim, 0 AS high, 0 AS low, 0 AS generation, 0 AS slots, 0 AS entries, 0 AS checksum
        FROM c""",
    "names as a view": f"""DROP TABLE names;
        CREATE VIEW names AS {ENDLESS} SELECT x AS entry, x AS checksum, 'x' AS name FROM c""",
    "a trigger": f"""CREATE TRIGGER t AFTER INSERT ON pages BEGIN
        INSERT INTO names SELECT x, x, 'x' FROM ({ENDLESS} SELECT x FROM c); END""",
    "an index": "CREATE INDEX i ON pages (hex(zeroblob(generation * 99999999)))",
    "a partial index": "CREATE INDEX i ON names (name) WHERE length(name) > 3",
    "one table more": "CREATE TABLE more (x)",
    "a virtual table": "CREATE VIRTUAL TABLE v USING fts5 (x)",
    "a virtual table as pages": "DROP TABLE pages; CREATE VIRTUAL TABLE pages USING fts5 (key, records)",
    "statistics": "ANALYZE",
    "one table less": "DROP TABLE names",
    "another column": "ALTER TABLE pages ADD COLUMN more INTEGER",
    "a generated column": """DROP TABLE names;
        CREATE TABLE names (entry INTEGER PRIMARY KEY, checksum INTEGER,
        name TEXT AS (hex(zeroblob(99999999)))) STRICT""",
    "a check": """DROP TABLE names; CREATE TABLE names (entry INTEGER PRIMARY KEY, checksum INTEGER, name TEXT
        CHECK (length(hex(zeroblob(99999999))) > 0)) STRICT""",
    "a default": """DROP TABLE names;
        CREATE TABLE names (entry INTEGER PRIMARY KEY, checksum INTEGER, name TEXT DEFAULT 'x') STRICT""",
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_catalogue_with_another_schema(folder, schema):
    with catalogue(folder) as database:
        try:
            database.executescript(SCHEMAS[schema])
        except sqlite3.OperationalError as error:
            if "no such module" not in str(error):
                raise
            pytest.skip(f"Python's SQLite: {error}")
    for said in used(folder):
        assert said.startswith("CoverTreeError") and "catalogue" in said, said


def endless(data, root, leaf):
    """Make a page the root of a tree of 5 levels whose pages are met again and again; its leaves are all one page."""
    at = 100 if root == 1 else 0

    def interior(child, offset):
        fan = 300
        page = bytearray(PAGE)
        # Cells: a page, and the largest key in it.
        cells = [struct.pack(">IB", child, 1) for _ in range(fan)]
        start = PAGE - 5 * fan
        page[offset : offset + 12] = struct.pack(">BHHHBI", 5, 0, fan, start, 0, child)
        for position, cell in enumerate(cells):
            page[offset + 12 + 2 * position : offset + 14 + 2 * position] = struct.pack(">H", start + 5 * position)
            page[start + 5 * position : start + 5 * position + 5] = cell
        return page

    child = leaf
    for _ in range(4):
        data += interior(child, 0)
        child = len(data) // PAGE
    data[(root - 1) * PAGE + at : root * PAGE] = interior(child, at)[at:]
    data[28:32] = struct.pack(">I", len(data) // PAGE)


def test_a_tree_of_pages_without_an_end(folder):
    """Such a schema, with rows that SQLite takes any number of times; and such a table of records."""
    path = folder / "catalogue.sqlite"
    good = bytearray(path.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as database:
        pages = dict(database.execute("SELECT name, rootpage FROM sqlite_schema"))
    for table in ("pages", "names"):
        data = bytearray(good)
        root = pages[table]
        data += data[(root - 1) * PAGE : root * PAGE]
        endless(data, root, len(data) // PAGE)
        path.write_bytes(data)
        said = used(folder)
        assert all(one.startswith("CoverTreeError") for one in said[: 3 if table == "pages" else 2]), said
        shutil.rmtree(f"{folder}-restored", ignore_errors=True)
    # An index that a constraint makes has no text, and may be named more than once.
    path.write_bytes(good)
    with catalogue(folder) as database:
        database.executescript("PRAGMA journal_mode = DELETE; CREATE TABLE more (x UNIQUE)")
    data = bytearray(path.read_bytes())
    cells = struct.unpack(">H", data[103:105])[0]
    offsets = struct.unpack(f">{cells}H", data[108 : 108 + 2 * cells])
    rows = data[min(offsets) : PAGE]
    assert b"sqlite_autoindex_more_1" in rows
    page = bytearray(PAGE)
    page[min(offsets) :] = rows
    # The table, and then its index alone, again and again.
    for keep in (offsets, offsets[-1:]):
        page[:8] = struct.pack(">BHHHB", 13, 0, len(keep), min(offsets), 0)
        page[8 : 8 + 2 * len(keep)] = struct.pack(f">{len(keep)}H", *keep)
        data += page
    last = len(data) // PAGE
    data[18:20] = b"\x02\x02"
    endless(data, 1, last)
    # The first child of the root has the table.
    first = struct.unpack(">H", data[112:114])[0]
    data[first : first + 4] = struct.pack(">I", last - 1)
    data[28:32] = struct.pack(">I", len(data) // PAGE)
    path.write_bytes(data)
    for said in used(folder):
        assert said.startswith("CoverTreeError"), said


def varint(number, size):
    groups = [number >> 7 * position & 127 for position in reversed(range(size))]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def test_a_row_that_is_longer_than_the_file(folder):
    """A name of 100 MB in a file of 2: the chain of pages that it is in bites its tail."""
    path, length, claimed = folder / "catalogue.sqlite", 2_200_000, 100_000_000
    with VectorStore.open(folder) as store:
        store.add("n" * length, [5, 6, 7, 8])
    data = bytearray(path.read_bytes())
    text = varint(2 * length + 13, 4)  # what a record says of its text
    at = data.index(text, data.index(b"three") - PAGE)
    data[at : at + 4] = varint(2 * claimed + 13, 4)
    lengths = [varint(length + more, 4) for more in range(5, 20)]  # a record has a few bytes before its text
    cell = next(position for position in range(at, at - 40, -1) if data[position : position + 4] in lengths)
    data[cell : cell + 4] = varint(claimed + 5 + lengths.index(data[cell : cell + 4]), 4)
    chain = [page for page in range(len(data) // PAGE) if data[page * PAGE + 4 : page * PAGE + 8] == b"nnnn"]
    last = next(page for page in chain if data[page * PAGE : page * PAGE + 4] == bytes(4))
    data[last * PAGE : last * PAGE + 4] = struct.pack(">I", chain[0] + 1)
    path.write_bytes(data)
    with VectorStore.open(folder, read_only=True) as store:
        with pytest.raises((OSError, CoverTreeError), match=r"too big|malformed"):
            list(store)
        with pytest.raises(CoverTreeError, match="catalogue"):
            store.check()


# Files


@pytest.mark.parametrize("which", ["write", "read", "restore"])
def test_a_rollback_journal_that_names_a_file(folder, tmp_path, which):
    """SQLite would delete that file."""
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    name, magic = str(victim).encode(), bytes.fromhex("d9d505f920a163d7")
    head = magic + struct.pack(">IIIII", 0, 0x1234, (folder / "catalogue.sqlite").stat().st_size // PAGE, 512, PAGE)
    tail = struct.pack(">I", 0x40000000 // PAGE + 1) + name + struct.pack(">II", len(name), sum(name)) + magic
    journal = folder / "catalogue.sqlite-journal"
    journal.write_bytes(head.ljust(512, b"\0") + tail)
    with pytest.raises(CoverTreeError, match=r"catalogue.sqlite-journal: a store has no rollback journal"):
        if which == "restore":
            VectorStore.restore(folder, tmp_path / "again")
        else:
            VectorStore.open(folder, read_only=which == "read")
    assert victim.read_text() == "of somebody else" and journal.exists()
    journal.unlink()
    with VectorStore.open(folder) as store:
        assert len(store) == 3


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("name", ["catalogue.sqlite", "rows.bin", "catalogue.sqlite-wal", "catalogue.sqlite-shm"])
@pytest.mark.parametrize("kind", ["a link", "a dangling link", "a pipe"])
def test_files_that_lead_elsewhere(folder, tmp_path, name, kind, read_only):
    elsewhere = tmp_path / "elsewhere"
    if kind == "a pipe":
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    else:
        if kind == "a link":
            if (folder / name).exists():
                (folder / name).rename(elsewhere)
            else:
                elsewhere.write_bytes(b"")
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(elsewhere)
    before = elsewhere.read_bytes() if elsewhere.exists() else None
    with pytest.raises((CoverTreeError, OSError), match=r"catalogue|rows"):
        VectorStore.open(folder, read_only=read_only)
    assert (elsewhere.read_bytes() if elsewhere.exists() else None) == before


@pytest.mark.parametrize("name", ["reserve", "lock"])
def test_a_link_where_a_store_keeps_space(folder, tmp_path, name):
    """Nothing is created at its end, nothing is cut off."""
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with VectorStore.open(folder) as store:
        store.remove(1)
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "elsewhere").write_text("of somebody else")
    with VectorStore.open(folder) as store:
        store.remove(2)
    assert (tmp_path / "elsewhere").read_text() == "of somebody else"


def test_a_folder_that_is_reached_by_links(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with VectorStore.open(tmp_path / "link" / "store", 2) as store:
        store.add(1, [1, 2])
        store.snapshot(tmp_path / "link" / "copy")
    with VectorStore.restore(tmp_path / "link" / "copy", tmp_path / "link" / "again") as store:
        assert store.get(1).tolist() == [1, 2]
    assert {one.name for one in (tmp_path / "real").iterdir()} == {"store", "copy", "again"}


# Files that go while the store is open


@pytest.mark.parametrize("name", ["rows.bin", "catalogue.sqlite", "reserve", "catalogue.sqlite-shm"])
def test_a_deleted_file_lets_no_second_writer_in(folder, name):
    first = VectorStore.open(folder)
    (folder / name).unlink()
    with pytest.raises((CoverTreeError, OSError), match=r"the store is already open|rows.bin|no catalogue"):
        VectorStore.open(folder)
    if name in ("rows.bin", "catalogue.sqlite"):
        for change in (lambda: first.add(4, np.ones(4)), lambda: first.remove(1), first.compact):
            with pytest.raises(OSError, match=f"{name} was deleted or replaced") as failed:
                change()
            assert failed.value.errno == errno.ESTALE
        assert sorted(first, key=str) == [1, 2, "three"] and first.get(1).tolist() == [1, 0, 0, 0]
    first.close()


@pytest.mark.parametrize("names", [["rows.bin"], ["catalogue.sqlite"], ["rows.bin", "catalogue.sqlite"]])
def test_a_replaced_file_loses_nothing_that_was_acknowledged(folder, tmp_path, names):
    with VectorStore.open(folder) as store:
        store.snapshot(tmp_path / "copy")
    first = VectorStore.open(folder)
    first.add(4, [4, 4, 4, 4])
    for name in names:
        os.replace(tmp_path / "copy" / name, folder / name)
    with pytest.raises(OSError, match="was deleted or replaced"):
        first.add(5, [5, 5, 5, 5])
    first.close()


def test_a_catalogue_that_somebody_else_has_changed(folder):
    with VectorStore.open(folder) as first:
        with catalogue(folder) as database:
            database.execute("UPDATE state SET generation = generation + 1")
        with pytest.raises(CoverTreeError, match="the store has changed"):
            first.add(4, [4, 4, 4, 4])
        assert 4 not in first


def test_a_folder_may_be_renamed(folder, tmp_path):
    with VectorStore.open(folder) as store:
        folder.rename(tmp_path / "renamed")
        store.add(4, [4, 4, 4, 4])
        with pytest.raises(CoverTreeError, match="the store is already open"):
            VectorStore.open(tmp_path / "renamed")
    with VectorStore.open(tmp_path / "renamed", read_only=True) as store:
        store.check()
        assert store.get(4).tolist() == [4, 4, 4, 4]


def test_rows_that_are_cut_off_are_noticed_by_readers(folder):
    with VectorStore.open(folder) as store, VectorStore.open(folder, read_only=True) as reader:
        store.add_batch(range(10, 5000), np.arange(4 * 4990.0).reshape(-1, 4))
        os.truncate(folder / "rows.bin", 8192)
        with pytest.raises(CoverTreeError, match=r"rows.bin: is truncated"):
            reader.get(4000)


# Hashes that are all the same

M = 2**64 - 1


def mixed(value):
    z = (value + 0x9E3779B97F4A7C15) & M
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & M
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & M
    return z ^ z >> 31


def colliding(n, path):
    """Vectors of one hash for those who know a store's seed, as those do who can read it.

    The words whose lower halves are the keys of their positions count for nothing but their upper halves. Those are
    added up.
    """
    with contextlib.closing(sqlite3.connect(path / "catalogue.sqlite")) as database:
        ((high, low),) = database.execute("SELECT high, low FROM state")
    keys = [mixed(high & M ^ mixed((low & M) + position & M)) & 0xFFFFFFFF for position in (0, 8)]
    words = np.zeros((n, 32), np.uint32)
    words[:, 0], words[:, 16] = keys
    words[:, 1] = np.arange(n, dtype=np.uint32) + 0x3F800000
    words[:, 17] = 0x40000000 + n - np.arange(n, dtype=np.uint32)
    return words.view(np.float32)


class Stopped(Exception):
    pass


def stop(share):
    raise Stopped


def store_of_finite_keys(path):
    """A store whose seed gives numbers."""
    while True:
        VectorStore.open(path, 32).close()
        if np.isfinite(colliding(1, path)).all():
            return
        shutil.rmtree(path)


def test_calls_over_hashes_that_are_all_the_same_can_be_ended(tmp_path):
    """The time of each grows with the square of the vectors; the seed keeps others from choosing such."""
    path, n = tmp_path / "store", 50_000
    store_of_finite_keys(path)
    rows = colliding(n, path)
    assert len({row.tobytes() for row in rows}) == n
    with VectorStore.open(path, sync="off") as store:
        with pytest.raises(Stopped):
            store.add_batch(range(n), rows, progress=stop)
        assert len(store) == store.stats().n_slots == 0
        shares = []
        assert store.add_batch(range(n), rows, progress=shares.append).tolist() == list(range(n))
        assert shares
        store.check()
    for read_only in (False, True):
        with pytest.raises(Stopped):
            VectorStore.open(path, read_only=read_only, progress=stop)
    with VectorStore.open(path) as store, pytest.raises(Stopped):
        store.snapshot(tmp_path / "copy", progress=stop)
    shares = []
    with VectorStore.open(path, progress=shares.append) as store:
        assert len(store) == n and shares == sorted(shares) and 0 <= shares[0] <= shares[-1] <= 1
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert said.stdout.split() == ["interrupted"] * 2, said.stderr


INTERRUPTED = """
    import os, signal, sys, threading
    from covertreex import VectorStore
    for read_only in (False, True):
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        try:
            VectorStore.open(sys.argv[1], read_only=read_only)
        except KeyboardInterrupt:
            print("interrupted")
        timer.join()
"""


def test_answers_do_not_depend_on_the_seed(tmp_path):
    """Each store has its own."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 3, (500, 4)).astype(np.float32)
    ids = [*range(-200, 100), *(uuid.UUID(int=int(one)) for one in rng.integers(0, 2**62, 150)), *"abcdefghij" * 5]
    ids = list(dict.fromkeys(ids))
    slots, listed = set(), set()
    for turn in range(4):
        with VectorStore(4) if turn % 2 else VectorStore.open(tmp_path / str(turn), 4) as store:
            first = store.add_batch(ids[:300], rows[:300]).tolist()
            store.remove_batch(ids[50:120])
            rest = store.add_batch(ids[300:], rows[300 : len(ids)]).tolist()
            slots.add((*first, *rest))
            listed.add(tuple(store.items()))
    assert len(slots) == len(listed) == 1


@pytest.mark.parametrize("make", [BruteForce, HNSW])
def test_an_index_opens_over_a_store_that_was_made_again(tmp_path, make):
    """It has another seed, and the same vectors."""
    rows = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)

    def made(path=None):
        store = VectorStore(4) if path is None else VectorStore.open(tmp_path / path, 4)
        store.add_batch(range(50), rows)
        return store

    for before, after in [(None, None), (None, "disk"), ("first", "second")]:
        with made(before) as store, make(store) as index:
            index.add()
            answers = index.knn(3, queries=rows[:5])
            index.save(tmp_path / "index.ct")
        with made(after) as store, make.load(tmp_path / "index.ct", store=store) as index:
            assert all((a == b).all() for a, b in zip(answers, index.knn(3, queries=rows[:5])))
        if after is not None:
            shutil.rmtree(tmp_path / after)
    with VectorStore(4) as store:
        store.add_batch(range(50), rows[::-1])
        with pytest.raises(ValueError, match="has another vector now"):
            make.load(tmp_path / "index.ct", store=store)


def test_a_progress_callback_may_use_the_store(folder):
    """It sees what the call sees. SQLite allows no statement inside another one, so a name may be refused."""
    with VectorStore.open(folder, sync="off") as store:
        store.add_batch([f"name {i}" for i in range(60_000)], np.arange(4 * 60_000.0).reshape(-1, 4))
    seen = set()
    with VectorStore.open(folder, read_only=True) as store:

        def report(share):
            assert len(store) == 60_003 and store.get(1).tolist() == [1, 0, 0, 0]
            try:
                seen.add(sorted(islice(store, 3), key=str)[2])
            except CoverTreeError as error:
                seen.add("refused" if "a progress callback cannot read the catalogue" in str(error) else str(error))

        for _ in range(3):
            store.check(progress=report)
    assert seen <= {"three", "refused"}
