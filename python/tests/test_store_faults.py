"""What a store on disk withstands: a killed writer, a full disk, damaged and foreign files. By really doing it."""

import multiprocessing
import os
import resource
import shutil
import sqlite3
import struct
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import file_reader
import numpy as np
import pytest
import store_writer

from covertreex import CoverTreeError, VectorStore

ROUNDS = int(os.environ.get("COVERTREE_KILL_ROUNDS", "20"))


def expect(store, present, doubtful):
    """Every id that was added and not removed is there, bit for bit; of doubtful ones it may be either."""
    found = set(store)
    assert present - doubtful <= found
    # A vector that was being added when the process ended is there completely, or not at all.
    assert all(one in present or one in doubtful or one > max(present, default=-1) for one in found)
    for one in found:
        assert store.get(one).tolist() == store_writer.vector(one).tolist()
    return found


@pytest.mark.parametrize("sync", ["full", "normal", "off"])
def test_a_writer_killed_at_any_moment(tmp_path, sync):
    folder, rng, present = tmp_path / "store", np.random.default_rng(len(sync)), set()
    for turn in range(max(1, ROUNDS // (1 if sync == "full" else 4))):
        with subprocess.Popen(
            [sys.executable, store_writer.__file__, str(folder), sync, str(turn)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout.readline() == "open\n"
            time.sleep(float(rng.uniform(0, 0.15)))
            writer.kill()
            lines = [line.split() for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        doubtful = set()
        for what, *said in lines:
            numbers = [int(number) for number in said]
            if what == "added":
                present.update(range(*numbers))
            elif what == "removing":
                doubtful = set(numbers)
            else:
                present.difference_update(numbers)
                doubtful = set()
        with VectorStore.open(folder, read_only=True) as reader:
            reader.check()
            found = expect(reader, present, doubtful)
        with VectorStore.open(folder, sync=sync) as store:
            store.check()
            assert set(store) == found
        present = found
        for copy in tmp_path.glob("store-*"):
            # A snapshot is there completely, or it is a draft that is never opened.
            if copy.suffix != ".part":
                with VectorStore.open(copy, read_only=True) as snapshot:
                    snapshot.check()
            shutil.rmtree(copy)
    assert len(present) > 10


def in_process(body, *arguments, preexec=None):
    """Run Python in a process of its own; what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(body), *map(str, arguments)],
        capture_output=True, text=True, preexec_fn=preexec, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


FILL = """
    import os, signal, sys, numpy as np
    from covertreex import VectorStore
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = VectorStore.open(sys.argv[1], 256, sync="full")
    rows, added = np.random.default_rng(0).standard_normal((10_000, 256)).astype(np.float32), 0
    try:
        while True:
            step = 37
            store.add_batch(range(added, added + step), rows[added : added + step])
            added += step
    except OSError as error:
        print(error.errno, error)
    print(added)
    store.check()
    assert sorted(store) == list(range(added)), len(store)
    assert all(store.get(i).tolist() == rows[i].tolist() for i in range(added))
    os.unlink(sys.argv[2])  # somebody makes room
    store.remove_batch(range(30))
    store.add_batch(range(-9, 0), rows[-9:])
    store.check()
    print(len(store))
"""


@pytest.mark.parametrize("how", ["RLIMIT_FSIZE", "tmpfs"])
def test_a_full_disk(tmp_path, how):
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(tmp_path)]
    if how == "tmpfs" and subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        ballast = tmp_path / "ballast"
        ballast.write_bytes(bytes(1 << 19))
        said, added, left = in_process(
            FILL, tmp_path / "store", ballast, preexec=None if how == "tmpfs" else limit_files
        )
        assert "rows.bin" in said or "catalogue.sqlite" in said
        assert int(said.split()[0]) in (27, 28, 5), said  # EFBIG, ENOSPC, or EIO
        assert int(added) > 300
        with VectorStore.open(tmp_path / "store", read_only=True) as store:
            store.check()
            assert len(store) == int(left) == int(added) - 21
    finally:
        if how == "tmpfs":
            subprocess.run(["umount", "-l", str(tmp_path)], check=False)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "store"
    with VectorStore.open(path, 8) as store:
        store.add_batch([*range(300), *(f"name {i}" for i in range(30))], np.arange(330 * 8.0).reshape(330, 8) // 12)
        store.remove_batch(range(20, 40))
    return path


def opened(path):
    with VectorStore.open(path, read_only=True) as store:
        store.check()
        return dict(store.items())


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 0x20
    path.write_bytes(data)


def test_a_flipped_byte_in_a_row(folder):
    flip(folder / "rows.bin", 4096 + 64 * 9 + 5)
    with pytest.raises(CoverTreeError, match="row of slot 9 does not match its hash"):
        opened(folder)


def test_flipped_bytes_in_the_catalogue(folder):
    """Each is noticed, or changes nothing that the store says."""
    before = opened(folder)
    path = folder / "catalogue.sqlite"
    data = path.read_bytes()
    noticed = 0
    for position in range(0, len(data), 101):
        path.write_bytes(data)
        flip(path, position)
        for name in ("catalogue.sqlite-wal", "catalogue.sqlite-shm"):
            (folder / name).unlink(missing_ok=True)
        try:
            assert opened(folder) == before, position
        except (CoverTreeError, OSError) as error:
            assert "catalogue" in str(error), position
            noticed += 1
    assert noticed > len(data) // 101 // 4


def test_truncated_and_missing_files(folder, tmp_path):
    for name, size in [("rows.bin", 5000), ("rows.bin", 3), ("catalogue.sqlite", 5000), ("catalogue.sqlite", 0)]:
        copy = tmp_path / f"{name}-{size}"
        shutil.copytree(folder, copy)
        os.truncate(copy / name, size)
        with pytest.raises(CoverTreeError, match=name.split(".")[0]):
            opened(copy)
    for name in ("rows.bin", "catalogue.sqlite"):
        copy = tmp_path / f"no-{name}"
        shutil.copytree(folder, copy)
        (copy / name).unlink()
        with pytest.raises((OSError, CoverTreeError), match=r"rows|catalogue"):
            opened(copy)


def test_foreign_and_newer_files(folder, tmp_path):
    other = tmp_path / "other"
    with VectorStore.open(other, 8) as store:
        store.add_batch(range(400), np.random.default_rng(0).standard_normal((400, 8)))
    copy = tmp_path / "mixed"
    shutil.copytree(folder, copy)
    shutil.copy(other / "rows.bin", copy / "rows.bin")
    with pytest.raises(CoverTreeError, match="belongs to another store"):
        opened(copy)
    for change, message in [
        ("PRAGMA user_version = 3", "has format version 3, this library reads 2"),
        ("PRAGMA application_id = 7", "is not the catalogue of a store"),
        ("UPDATE state SET slots = 299", "state is damaged"),
        ("DELETE FROM pages WHERE key = 1", "pages of the catalogue are missing"),
        ("UPDATE pages SET key = 99 WHERE key = 1", "page 99 of the catalogue is"),
        ("UPDATE pages SET records = zeroblob(length(records))", "page 0 of the catalogue is damaged"),
    ]:
        shutil.rmtree(copy)
        shutil.copytree(folder, copy)
        with sqlite3.connect(copy / "catalogue.sqlite") as database:
            database.execute(change)
        database.close()
        with pytest.raises(CoverTreeError, match=message):
            opened(copy)
    (tmp_path / "file").write_text("something")
    (tmp_path / "empty").mkdir()
    with pytest.raises((OSError, CoverTreeError), match="file"):
        VectorStore.open(tmp_path / "file")
    with pytest.raises(CoverTreeError, match="is not a store"):
        VectorStore.open(tmp_path / "empty")
    copy.joinpath("catalogue.sqlite").write_bytes(b"x" * 9000)
    with pytest.raises(CoverTreeError, match="not a database"):
        opened(copy)


@pytest.mark.parametrize("generation", [2**63 - 1, 2**62, -1])
def test_numbers_of_transactions_that_cannot_be_counted_on(folder, generation):
    """The next transaction ended the process: there was no number after this one."""
    with sqlite3.connect(folder / "catalogue.sqlite") as database:
        (state,) = database.execute("SELECT dim, high, low, generation, slots, entries, checksum FROM state")
        checksum = file_reader.crc32c(struct.pack("<6q", *state[:6]))
        assert checksum == state[6]
        state = (*state[:3], generation, *state[4:6])
        checksum = file_reader.crc32c(struct.pack("<6q", *state))
        database.execute("UPDATE state SET generation = ?, checksum = ?", (generation, checksum))
    database.close()
    with pytest.raises(CoverTreeError, match="state is damaged"), VectorStore.open(folder) as store:
        store.add("one", np.ones(store.dim))


def test_a_folder_that_cannot_be_written_to(folder, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("another user is needed, that only root can become")
    folder.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents):
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o055)
    said = in_process(
        """
        import os, sys
        from covertreex import VectorStore
        os.setuid(65534)
        with VectorStore.open(sys.argv[1], read_only=True) as store:
            store.check()
            print(len(store))
        for call in (lambda: VectorStore.open(sys.argv[1]), lambda: VectorStore.open(sys.argv[1] + "/new", 3)):
            try:
                call()
            except OSError as error:
                print(error.errno, error)
        """,
        folder,
    )
    assert said[0] == "310"
    assert len(said) == 3 and all(line.startswith("13 ") for line in said[1:]), said


def test_copies_go_where_nothing_is(folder, tmp_path):
    with VectorStore.open(folder) as store, pytest.raises(ValueError, match="is there already"):
        store.snapshot(folder)
    with pytest.raises(ValueError, match="is there already"):
        VectorStore.restore(folder, folder)
    with pytest.raises(OSError, match="nowhere"):
        VectorStore.restore(tmp_path / "nowhere", tmp_path / "new")
    assert not list(tmp_path.glob("*.part"))

    class Stopped(Exception):
        pass

    def stop(share):
        raise Stopped

    with VectorStore.open(tmp_path / "large", 2048, sync="off") as store:
        # So much that copying it takes longer than until the first report.
        rows = np.ones((100_000, 2048), np.float32)
        rows[:, 0] = np.arange(100_000)
        store.add_batch(range(100_000), rows)
        with pytest.raises(Stopped):
            store.snapshot(tmp_path / "stopped", progress=stop)
    assert not list(tmp_path.glob("stopped*"))


def test_a_snapshot_while_a_writer_goes_on(tmp_path):
    with VectorStore.open(tmp_path / "store", store_writer.DIM, sync="off") as store:
        done, number = threading.Event(), 0

        def write():
            nonlocal number
            while not done.is_set():
                store.add_batch(
                    range(number, number + 20), np.array([store_writer.vector(i) for i in range(number, number + 20)])
                )
                if number % 60 == 0:
                    store.remove_batch(range(number, number + 5))
                number += 20

        thread = threading.Thread(target=write)
        thread.start()
        for turn in range(6):
            time.sleep(0.05)
            store.snapshot(tmp_path / f"copy{turn}")
        done.set()
        thread.join()
        store.check()
        sizes = []
        for turn in range(6):
            with VectorStore.open(tmp_path / f"copy{turn}", read_only=True) as copy:
                copy.check()
                sizes.append(len(copy))
                assert all(copy.get(one).tolist() == store_writer.vector(one).tolist() for one in copy)
        assert sizes == sorted(sizes) and sizes[-1] > sizes[0]


def _read(path, counted):
    last, end = 0, time.monotonic() + 1.5
    with VectorStore.open(path, read_only=True) as reader:
        while time.monotonic() < end:
            ids = list(reader)
            assert len(ids) >= last
            last = len(ids)
            for one in ids[-30:]:
                assert reader.get(one).tolist() == store_writer.vector(one).tolist()
        reader.check()
    counted.put(last)


def test_reader_processes_during_writes(tmp_path):
    context = multiprocessing.get_context("spawn")
    counted = context.Queue()
    with VectorStore.open(tmp_path / "store", store_writer.DIM, sync="off") as store:
        readers = [context.Process(target=_read, args=(tmp_path / "store", counted)) for _ in range(2)]
        for reader in readers:
            reader.start()
        number = 0
        while any(reader.is_alive() for reader in readers):
            store.add_batch(
                range(number, number + 10), np.array([store_writer.vector(i) for i in range(number, number + 10)])
            )
            number += 10
            time.sleep(0.002)
        for reader in readers:
            reader.join()
            assert reader.exitcode == 0
        assert 0 < counted.get() <= number


def test_a_forked_child_has_to_open_it_again(folder):
    said = in_process(
        """
        import os, sys
        from covertreex import CoverTreeError, VectorStore
        store, memory = VectorStore.open(sys.argv[1]), VectorStore(2)
        memory.add(1, [1, 2])
        if not os.fork():
            try:
                store.add(-5, [0] * 8)
            except CoverTreeError as error:
                print(error)
            memory.add(2, [3, 4])
            print(memory.get(2).tolist(), store.get(3).tolist()[:1], flush=True)
            os._exit(0)
        os.wait()
        store.add(-5, [0] * 8)
        store.check()
        print(len(memory), -5 in store)
        """,
        folder,
    )
    assert "forked" in said[0]
    assert said[1:] == ["[3.0, 4.0] [2.0]", "1 True"]


def test_stores_are_where_they_are_said_to_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with VectorStore.open("here ü %41 ?#", 2) as store:
        store.add(1, [1, 2])
    assert Path("here ü %41 ?#", "rows.bin").exists()
    for _ in range(2):  # with a slash behind it, when it is made and when it is there
        VectorStore.open("slash//", 2).close()
    assert Path("slash", "rows.bin").exists() and not list(tmp_path.glob("**/*.part"))
    assert opened("here ü %41 ?#") == {1: 0}
