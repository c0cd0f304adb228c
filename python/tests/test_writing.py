"""Writing to a path: a file that is there keeps its mode and owner, links are followed, only files are replaced."""

import os
import socket
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from covertreex import CoverTreeError, VectorStore, cover_tree, load, telemetry, vecchia
from covertreex.cli._tables import write_arrays
from covertreex.indexes import BruteForce
from covertreex.kernels import RBF

POINTS = np.random.default_rng(0).random((60, 2))


def an_index(path):
    index = BruteForce(2)
    index.add(None, POINTS)
    index.save(path)


def a_log(path):
    with telemetry.record() as log:
        cover_tree(POINTS).knn(2)
    log.save(path)


# Every call that writes one file to a path, by the ending that it asks for.
WRITERS = {
    "tree": ("", lambda path: cover_tree(POINTS).save(path)),
    "residual tree": ("", lambda path: cover_tree(POINTS, kernel=RBF(lengthscale=0.3), inducing_count=9).save(path)),
    "index": ("", an_index),
    "conditioning sets": ("", lambda path: vecchia.neighbors(POINTS, kernel=RBF(lengthscale=0.3), m=3).save(path)),
    "log": ("", a_log),
    "results of a command": (".npz", lambda path: write_arrays(path, points=POINTS)),
}


@pytest.fixture(params=WRITERS)
def writer(request, tmp_path):
    ending, write = WRITERS[request.param]
    return tmp_path / f"file{ending}", write


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_a_new_file_has_the_mode_that_the_umask_leaves(writer, umask):
    path, write = writer
    write(path)
    assert mode(path) == 0o666 & ~umask
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("kept", [0o600, 0o640, 0o666, 0o755], ids=oct)
def test_a_file_that_is_replaced_keeps_its_mode(writer, umask, kept):
    path, write = writer
    path.write_bytes(b"old")
    path.chmod(kept)
    write(path)
    assert mode(path) == kept
    assert path.read_bytes() != b"old"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_is_replaced_keeps_owner_and_group(writer):
    path, write = writer
    path.write_bytes(b"old")
    os.chown(path, 4321, 8765)
    path.chmod(0o2640)
    write(path)
    found = path.stat()
    assert (found.st_uid, found.st_gid, mode(path)) == (4321, 8765, 0o2640)
    assert found.st_size > 3


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
@pytest.mark.parametrize("target", ["absolute", "relative", "of links", "in a linked folder", "upwards"])
def test_links_are_followed(writer, target, there):
    path, write = writer
    folder = path.parent / "far" / "away"
    folder.mkdir(parents=True)
    end = folder / path.name
    (path.parent / "folder").symlink_to("far/away")
    if target == "absolute":
        path.symlink_to(end)
    elif target == "relative":
        path.symlink_to(f"far/away/{path.name}")
    elif target == "in a linked folder":
        path.symlink_to(f"folder/{path.name}")
    elif target == "of links":
        (path.parent / "between").symlink_to(f"folder/{path.name}")
        path.symlink_to("between")
    else:  # relative to where the link really is
        end = path.parent / "far" / path.name
        (folder / path.name).symlink_to(f"../{path.name}")
        path.symlink_to(f"folder/{path.name}")
    if there:
        end.write_bytes(b"old")
        end.chmod(0o600)
    write(path)
    assert path.is_symlink()
    assert not end.is_symlink()
    assert end.stat().st_size > 3
    assert not there or mode(end) == 0o600
    assert not list(path.parent.rglob("*.partial"))


def test_a_link_to_itself_is_refused(writer):
    path, write = writer
    path.symlink_to(path.name)
    with pytest.raises(OSError, match="symbolic links"):
        write(path)
    assert os.readlink(path) == path.name


def a_device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))  # as /dev/null
    except PermissionError:
        pytest.skip("only root makes devices")


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def described(folder):
    """Which files are in a folder, and of what kind."""
    found = {name: os.lstat(folder / name) for name in os.listdir(folder)}
    return {name: (one.st_ino, one.st_mode) for name, one in found.items()}


OTHERS = {"a pipe": os.mkfifo, "a device": a_device, "a socket": a_socket, "a directory": os.mkdir}


@pytest.mark.parametrize("linked", [False, True], ids=["itself", "through a link"])
@pytest.mark.parametrize("noun", OTHERS)
def test_nothing_but_a_file_is_replaced(writer, noun, linked):
    path, write = writer
    target = path.parent / "target" if linked else path
    OTHERS[noun](target)
    if linked:
        path.symlink_to("target")
    before = described(path.parent)
    with pytest.raises(OSError, match=f"expected a regular file or nothing there, got {noun}") as error:
        write(path)
    assert isinstance(error.value, IsADirectoryError) == (noun == "a directory")
    assert described(path.parent) == before


def test_a_file_that_has_lost_its_name_is_refused(tmp_path):
    with open(tmp_path / "file", "wb") as file:
        os.unlink(tmp_path / "file")
        for write in (cover_tree(POINTS).save, a_log):
            with pytest.raises(OSError, match="without a name"):
                write(f"/proc/self/fd/{file.fileno()}")
    assert os.listdir(tmp_path) == []


def test_another_hard_link_keeps_the_old_file(writer):
    path, write = writer
    path.write_bytes(b"old")
    other = path.parent / "other"
    os.link(path, other)
    write(path)
    assert other.read_bytes() == b"old"
    assert path.stat().st_size > 3


AS_NOBODY = """
    import os, sys
    import numpy as np
    from covertreex import cover_tree, telemetry
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    tree = cover_tree(np.zeros((3, 2)))
    with telemetry.record() as log:
        tree.knn(1)
    for saved in (tree, log):
        try:
            saved.save(sys.argv[1])
        except PermissionError as error:
            print(error)
        else:
            raise SystemExit("saved")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root may become somebody else")
@pytest.mark.parametrize(("rights", "message"), [(0o644, "Permission denied"), (0o666, "cannot be kept")], ids=str)
def test_the_file_of_somebody_else_stays_theirs(rights, message, tmp_path):
    folder = tmp_path / "open to all"
    folder.mkdir()
    for one in (folder, *folder.parents[:3]):
        one.chmod(0o777)
    path = folder / "file"
    path.write_bytes(b"old")
    path.chmod(rights)
    arguments = [sys.executable, "-c", textwrap.dedent(AS_NOBODY), str(path)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(message in line for line in lines)
    assert path.read_bytes() == b"old"
    assert (path.stat().st_uid, mode(path)) == (0, rights)
    assert os.listdir(folder) == ["file"]


def test_a_log_that_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "log"
    a_log(path)
    before = path.read_bytes()

    def refused(_):
        raise OSError("no room")

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(OSError, match="no room"):
        a_log(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["log"]


# Stores


def modes(folder):
    return {mode(folder), *(mode(folder / name) for name in os.listdir(folder))}


def test_a_new_store_has_the_modes_that_the_umask_leaves(tmp_path):
    before = os.umask(0o002)
    try:
        with VectorStore.open(tmp_path / "store", 2) as store:
            store.add("name", [1, 2])
            assert modes(tmp_path / "store") == {0o775, 0o664}
            store.snapshot(tmp_path / "copy")
        with VectorStore(2) as memory:
            memory.snapshot(tmp_path / "of memory")
    finally:
        os.umask(before)
    assert modes(tmp_path / "copy") == modes(tmp_path / "of memory") == {0o775, 0o664}


def test_a_copy_is_readable_only_by_readers_of_its_store(tmp_path):
    path = tmp_path / "store"
    with VectorStore.open(path, 2) as store:
        store.add("secret", [1, 2])
    path.chmod(0o700)
    for name in os.listdir(path):
        (path / name).chmod(0o600)
    with VectorStore.open(path) as store:
        store.snapshot(tmp_path / "copy")
    VectorStore.restore(tmp_path / "copy", tmp_path / "again").close()
    assert modes(tmp_path / "copy") == modes(tmp_path / "again") == {0o700, 0o600}


@pytest.mark.parametrize("make", ["open", "snapshot", "restore"])
def test_a_store_is_made_where_a_link_leads(make, tmp_path):
    with VectorStore.open(tmp_path / "store", 2) as store:
        store.add(1, [1, 2])
        (tmp_path / "far").mkdir()
        link = tmp_path / "link"
        link.symlink_to("far/new")
        if make == "open":
            VectorStore.open(link, 2).close()
        elif make == "snapshot":
            store.snapshot(link)
    if make == "restore":
        VectorStore.restore(tmp_path / "store", link).close()
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["far", "link", "store"]
    assert os.listdir(tmp_path / "far") == ["new"]
    with VectorStore.open(tmp_path / "far" / "new") as found:
        assert list(found) == ([] if make == "open" else [1])


def test_a_store_is_made_nowhere_but_in_a_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe"):
        VectorStore.open(tmp_path / "pipe", 2)
    with VectorStore(2) as store, pytest.raises(ValueError, match="is there already"):
        store.snapshot(tmp_path / "pipe")
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


# Paths that are used later


def test_a_store_stays_where_it_was_opened(tmp_path, monkeypatch):
    for name, number in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        with VectorStore.open(tmp_path / name / "store", 2) as store:
            store.add(number, [number, 0])
    monkeypatch.chdir(tmp_path / "a")
    with VectorStore.open("store") as store:
        monkeypatch.chdir(tmp_path / "b")
        store.snapshot("of a")
        monkeypatch.chdir("/")
        store.snapshot(tmp_path / "of a again")
    for path in (tmp_path / "b" / "of a", tmp_path / "of a again"):
        with VectorStore.open(path, read_only=True) as copy:
            assert list(copy) == [1]


def test_a_replaced_store_is_not_copied(tmp_path):
    with VectorStore.open(tmp_path / "store", 2) as store:
        store.add(1, [1, 2])
        os.rename(tmp_path / "store", tmp_path / "moved")
        VectorStore.open(tmp_path / "store", 2).close()
        with pytest.raises(CoverTreeError, match="another store"):
            store.snapshot(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_trees_and_indexes_keep_the_opened_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index = BruteForce(2)
    index.add(None, POINTS)
    for saved in (cover_tree(POINTS), index):
        saved.save("file")
        opened = load("file")
        monkeypatch.chdir("/")
        assert len(opened) == 60
        if saved is index:
            assert (opened.knn(2, queries=POINTS)[0] == index.knn(2, queries=POINTS)[0]).all()
        else:
            assert (opened.knn(2) == saved.knn(2)).all()
        monkeypatch.chdir(tmp_path)
