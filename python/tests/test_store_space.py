"""Rows that are given back while they are read, holes, full disks, and who may read what is written."""

import errno
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from covertreex import CoverTreeError, VectorStore, cover_tree

DIM = 1024  # a row fills a page


@pytest.fixture
def memory(tmp_path):
    """A file system of 3 MB in memory."""
    path = tmp_path / "memory"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=False)


def fill(folder, free=0):
    """Write until the disk has this many bytes left."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC
    os.truncate(ballast, ballast.stat().st_size - free)


def run(body, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(body), *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def rows(n, first=1):
    return np.ones((n, DIM), np.float32) * np.arange(first, first + n)[:, None]


def disk_size(path):
    return (path / "rows.bin").stat().st_blocks * 512


def has_holes(path):
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(path)], capture_output=True, text=True, check=True).stdout
    return kind.strip() != "tmpfs"


# The views are of an open writer, a closed writer, a closed reader, or a reader in another process.
READ = """
    import os, sys, numpy as np
    from covertreex import VectorStore
    path, how = sys.argv[1:]
    store = VectorStore.open(path, read_only=how != "open" and how != "closed")
    views = [store.get(i) for i in range(600)]
    if how != "open":
        store.close()
    print("ready", flush=True)
    if how == "open":
        writer = store
    elif how == "child":
        sys.stdin.readline()
        writer = None
    else:
        writer = VectorStore.open(path)
    if writer:
        for kept in (100, 0):
            writer.remove_batch([i for i in writer if i >= kept])
            writer.compact()
            [view.sum() for view in views]
    print("read", [view.sum() for view in views][-1] >= 0)
"""


@pytest.mark.parametrize("how", ["open", "closed", "reader", "child"])
def test_rows_that_were_given_back_can_still_be_read(tmp_path, how):
    path = tmp_path / "store"
    with VectorStore.open(path, DIM, sync="off") as store:
        store.add_batch(range(600), rows(600))
        length = (path / "rows.bin").stat().st_size
    with run(READ, path, how) as process:
        assert process.stdout.readline() == "ready\n"
        if how == "child":
            with VectorStore.open(path) as store:
                store.remove_batch(range(600))
                store.compact()
        assert process.communicate("\n", timeout=60)[0] == "read True\n"
        assert process.returncode == 0
    # The space is given back, and the length stays.
    assert (path / "rows.bin").stat().st_size == length
    if has_holes(tmp_path):
        assert disk_size(path) < 64 << 10
    with VectorStore.open(path) as store:
        assert len(store) == store.stats().n_slots == 0
        store.add_batch(range(50), rows(50, first=9))
        store.check()
        assert store.get(49).tolist() == [58.0] * DIM


def test_rows_that_were_given_back_can_still_be_read_where_the_disk_is_memory(memory):
    """There a hole needs memory when it is read, and none is left."""
    path = memory / "store"
    with VectorStore.open(path, DIM) as store:
        store.add_batch(range(200), rows(200))
    body = """
        import sys
        from covertreex import VectorStore
        store = VectorStore.open(sys.argv[1])
        views = [store.get(i) for i in range(200)]
        store.remove_batch(range(10, 200))
        store.compact()
        print("compacted", flush=True)
        sys.stdin.readline()
        print(all(view.sum() >= 0 for view in views))
    """
    with run(body, path) as process:
        assert process.stdout.readline() == "compacted\n"
        fill(memory)
        assert process.communicate("\n", timeout=60)[0] == "True\n"
        assert process.returncode == 0


def test_holes_of_other_programs_where_the_disk_is_memory(memory, tmp_path):
    """A row in one is refused. Another file is read then, not mapped."""
    with VectorStore.open(tmp_path / "store", DIM) as store:
        store.add_batch(range(9), rows(9, first=0))
        store.snapshot(memory / "whole")
    with VectorStore.open(memory / "whole", read_only=True) as whole:
        assert whole.get(0).tolist() == [0] * DIM
    copy = ["cp", "-r", "--sparse=always", str(tmp_path / "store")]
    if subprocess.run([*copy, str(memory / "sparse")], capture_output=True, check=False).returncode:
        pytest.skip("a cp that makes holes is needed")
    for read_only in (False, True):
        with pytest.raises(CoverTreeError, match=r"rows.bin: has a hole where row 0 should be"):
            VectorStore.open(memory / "sparse", read_only=read_only)
    with VectorStore.open(tmp_path / "store") as store:
        store.remove(0)
    subprocess.run([*copy, str(memory / "free")], check=True)
    with VectorStore.open(memory / "free") as store:
        store.check()
        assert len(store) == 8
    # All points at one location, so that whole pages are zeros.
    cover_tree(np.zeros((4096, 3))).save(tmp_path / "tree")
    subprocess.run(["cp", "--sparse=always", str(tmp_path / "tree"), str(memory / "tree")], check=True)
    assert (memory / "tree").stat().st_blocks * 512 < (memory / "tree").stat().st_size
    body = """
        import sys
        from covertreex import load
        tree = load(sys.argv[1])
        print("open", flush=True)
        sys.stdin.readline()
        print(len(tree), tree.knn(1, queries=[[1.0, 0, 0]], return_distances=True)[1][0, 0])
    """
    with run(body, memory / "tree") as process:
        assert process.stdout.readline() == "open\n"
        fill(memory)
        assert process.communicate("\n", timeout=60)[0] == "4096 1.0\n"
        assert process.returncode == 0


def test_copies_leave_holes_where_the_store_has_some(tmp_path):
    if not has_holes(tmp_path):
        pytest.skip("a file system on a disk is needed")
    with VectorStore.open(tmp_path / "store", DIM, sync="off") as store:
        store.add_batch(range(2000), rows(2000))
        store.remove_batch(range(500, 1999))
        before = disk_size(tmp_path / "store")
        store.compact()
        store.snapshot(tmp_path / "copy")
        VectorStore.restore(tmp_path / "copy", tmp_path / "again").close()
        for path in (tmp_path / "store", tmp_path / "copy", tmp_path / "again"):
            assert disk_size(path) < before // 3, path
            with VectorStore.open(path, read_only=True) if path != tmp_path / "store" else store as one:
                one.check()
                assert one.get(1999).tolist() == [2000.0] * DIM and one.stats().n_slots == 2000


def test_a_copy_of_a_store_in_memory_has_no_rows_that_are_free(tmp_path):
    store = VectorStore(DIM)
    store.add_batch(range(1000), rows(1000))
    store.remove_batch(range(100, 999))
    store.snapshot(tmp_path / "copy")
    with VectorStore.open(tmp_path / "copy", read_only=True) as copy:
        copy.check()
        assert copy.get(999).tolist() == [1000.0] * DIM and copy.stats().n_slots == 1000
        assert dict(copy.items()) == dict(store.items())
    assert disk_size(tmp_path / "copy") < 2 * 101 * 4 * DIM


def test_ids_can_be_removed_on_a_full_disk(memory):
    path = memory / "store"
    with VectorStore.open(path, DIM) as store:
        store.add_batch([*range(300), *(f"name {i}" for i in range(50))], rows(350))
        fill(memory)
        with pytest.raises(OSError, match="path") as failed:
            store.add_batch(range(1000, 1300), rows(300, first=1000))
        assert failed.value.errno == errno.ENOSPC
        for one in range(60):  # the reserve is too small for all of them, unless its space is used again
            store.remove(one)
        store.remove_batch([f"name {i}" for i in range(20)])
        store.check()
    # Neither closing it nor opening it again needs space.
    with VectorStore.open(path) as store:
        store.check()
        assert len(store) == 270
        store.remove_batch(range(60, 100))
        store.remove("name 49")
        store.compact()
        store.check()
        os.unlink(memory / "ballast")
        store.add_batch(range(1000, 1020), rows(20, first=1000))
        assert len(store) == 249
    with VectorStore.open(path, read_only=True) as store:
        store.check()
        assert set(store) == {*range(100, 300), *(f"name {i}" for i in range(20, 49)), *range(1000, 1020)}


def test_a_copy_that_fails_leaves_nothing(tmp_path, memory):
    with VectorStore.open(tmp_path / "store", DIM, sync="off") as store:
        store.add_batch([*range(300), *(f"name {i}" for i in range(9000))], np.resize(rows(300), (9300, DIM)))
        in_memory = VectorStore(DIM)
        in_memory.add_batch(list(store), np.resize(rows(300), (9300, DIM)))
        failed = 0
        for free in range(0, 1 << 20, 96 << 10):
            (memory / "ballast").unlink(missing_ok=True)
            fill(memory, free)
            for copy in (store.snapshot, in_memory.snapshot, lambda to: VectorStore.restore(tmp_path / "store", to)):
                with pytest.raises(OSError, match="path") as error:
                    copy(memory / "copy")
                assert error.value.errno == errno.ENOSPC, free
                failed += 1
                assert [one.name for one in memory.iterdir()] == ["ballast"], free
        assert failed > 20
        store.check()


def test_copies_and_new_files_are_no_wider_than_their_origin(tmp_path):
    path = tmp_path / "store"
    before = os.umask(0)
    try:
        with VectorStore.open(path, 4) as store:
            store.add(1, [1, 2, 3, 4])
        (path / "reserve").unlink()
        modes = {path: 0o750, path / "catalogue.sqlite": 0o640, path / "rows.bin": 0o600}
        for one, mode in modes.items():
            one.chmod(mode)
            if os.geteuid() == 0:
                os.chown(one, 0, 12345)
        with VectorStore.open(path) as store:
            store.add(2, [4, 3, 2, 1])
            store.snapshot(tmp_path / "copy")
            new = {one.name: one.stat() for one in path.iterdir()}
        VectorStore.restore(tmp_path / "copy", tmp_path / "again").close()
    finally:
        os.umask(before)
    assert {"catalogue.sqlite-wal", "catalogue.sqlite-shm", "reserve"} <= new.keys()
    assert all(status.st_mode & 0o777 & ~0o640 == 0 for status in new.values()), new
    for copy in (tmp_path / "copy", tmp_path / "again"):
        for one, mode in modes.items():
            status = (copy / one.relative_to(path)).stat()
            assert status.st_mode & 0o777 == mode, one
            if os.geteuid() == 0 and mode & 0o070:
                assert status.st_gid == 12345, one
