"""Folders of partitions: written completely or not at all, and refused if anything in them is not as it was written."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import textwrap

import file_reader
import folder_damage
import numpy as np
import pytest
from folder_damage import MANIFEST, names, rewrite, rewrite_partition
from test_partitions import in_partitions

from covertreex import CoverTreeError, cover_tree, load
from covertreex._partitions.files import partition_path, save_partition
from covertreex._partitions.filling import filling
from covertreex._partitions.manifest import Manifest

TREE = 1


def save(points, path, partition_count, then=lambda: None):
    """Write a tree in partitions over one that is there, as a cluster does."""
    partitions, layout = in_partitions(points, partition_count, cover_tree)
    with filling(path, replace=True) as (folder, tag):
        seals = [
            save_partition(partition, partition_path(folder, tag, number))
            for number, partition in enumerate(partitions)
        ]
        Manifest(tag, TREE, points.dtype, layout, seals).save(folder)
        then()


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(5).standard_normal((300, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def wanted(points):
    return cover_tree(points).knn(4)


@pytest.fixture
def saved(points, tmp_path):
    cover_tree(points, folder=tmp_path / "tree", partition_size=100)
    return tmp_path / "tree"


# Damage


def test_every_damage_is_an_error(points, wanted, saved, tmp_path):
    cover_tree(points + 1, folder=tmp_path / "other", partition_size=100)
    labels = []
    for label, damage in folder_damage.damages(saved, tmp_path / "other", flips=97):
        shutil.copytree(saved, tmp_path / "copy")
        damage(tmp_path / "copy")
        for verify in (False, True):
            with pytest.raises((CoverTreeError, OSError), match="path: "):
                load(tmp_path / "copy", verify=verify).knn(4)
                raise AssertionError(label)
        shutil.rmtree(tmp_path / "copy")
        labels.append(label)
    assert len(labels) > 400
    assert (load(saved, verify=True).knn(4) == wanted).all()


def test_damage_after_opening_is_an_error(points, wanted, saved):
    """Parts are opened when a search needs them, and compared with their checksums each time."""
    tree = load(saved)
    path = saved / names(saved)[1]
    data = path.read_bytes()
    path.unlink()
    with pytest.raises(CoverTreeError, match="missing"):
        tree.knn(4)
    path.write_bytes(folder_damage.flipped(data, len(data) // 2))
    with pytest.raises(CoverTreeError, match="checksum"):
        tree.knn(4)
    path.write_bytes(data)
    assert (tree.knn(4) == wanted).all()


def test_verify_reads_all_partitions(points, saved):
    path = saved / names(saved)[2]
    path.write_bytes(folder_damage.flipped(path.read_bytes(), path.stat().st_size // 2))
    load(saved)  # nothing has been read yet
    with pytest.raises(CoverTreeError, match="checksum"):
        load(saved, verify=True)
    shares = []
    path.write_bytes(folder_damage.flipped(path.read_bytes(), path.stat().st_size // 2))
    load(saved, verify=True, progress=shares.append)
    assert shares == [1 / 3, 2 / 3, 1]


# Folders that were made to do harm: their checksums fit.

ARRAYS = ["curve_low", "curve_high", "keys", "indices", "low", "high", "centers", "radii", "sizes", "first", "seals"]


@pytest.mark.parametrize("name", ["settings", *ARRAYS])
@pytest.mark.parametrize(
    "change",
    [lambda a: a[:0], lambda a: a[:-1], lambda a: np.concatenate([a, a]), lambda a: np.concatenate([a, a], axis=1),
     lambda a: a.T.copy() if len(a) != len(a.T) else a[1:], lambda a: a.astype(np.float32),
     lambda a: a.astype(np.int32), None],
    ids=["empty", "short", "long", "wide", "turned", "float32", "int32", "missing"],
)  # fmt: skip
def test_arrays_of_other_shapes_and_types(saved, name, change):
    def spoil(sections):
        if change is None:
            del sections[name]
        else:
            sections[name] = change(sections[name])

    rewrite(saved / MANIFEST, spoil)
    with pytest.raises(CoverTreeError, match="manifest"):
        load(saved)


BIG = np.iinfo(np.int64).max


@pytest.mark.parametrize(
    ("name", "row", "value"),
    [
        ("settings", 0, 2), ("settings", 0, 0), ("settings", 1, -1), ("settings", 1, 1 << 32), ("settings", 2, 2),
        ("settings", 2, 4), ("settings", 3, 3), ("settings", 3, -1),
        ("sizes", 0, 0), ("sizes", 0, -1), ("sizes", ..., BIG), ("sizes", 1, 1 << 31), ("sizes", 2, 99),
        ("sizes", 0, 1 << 30), ("sizes", ..., (1 << 31) - 1),
        ("first", 0, -1), ("first", 1, 300), ("first", 1, BIG), ("first", ..., 0), ("first", ..., [[1], [2], [3]]),
        ("indices", 0, -1), ("indices", 1, 300), ("indices", 0, BIG),
        ("keys", 0, -1), ("keys", 1, 0),  # -1 is the largest
        *((name, 0, value) for name in ("curve_low", "low", "centers", "radii") for value in (np.nan, np.inf)),
        ("radii", 2, -1), ("low", 1, 1e9), ("curve_high", 0, -1e9), ("seals", 1, 7), ("seals", ..., 0),
    ],
    ids=str,
)  # fmt: skip
def test_numbers_that_no_tree_has(saved, name, row, value):
    def spoil(sections):
        sections[name][row] = value

    rewrite(saved / MANIFEST, spoil)
    with pytest.raises(CoverTreeError, match="path: "):
        load(saved)


def test_cuts_of_one_key_ascend_by_index(saved):
    def spoil(sections):
        sections["keys"][1] = sections["keys"][0]
        sections["indices"][:] = [[7], [7]]

    rewrite(saved / MANIFEST, spoil)
    with pytest.raises(CoverTreeError, match="ascending cuts"):
        load(saved)


def test_empty_boxes_of_many_dimensions(tmp_path, rng):
    points = rng.standard_normal((40, 60_000)).astype(np.float32)
    cover_tree(points, folder=tmp_path / "tree", partition_size=20)

    def spoil(sections):
        for name in ("curve_low", "curve_high"):
            sections[name] = sections[name][:0]

    rewrite(tmp_path / "tree" / MANIFEST, spoil)
    with pytest.raises(CoverTreeError, match="manifest"):
        load(tmp_path / "tree")


INDICES = "covertreex.indices"


@pytest.mark.parametrize(
    "change",
    [lambda a: a[::-1].copy(), lambda a: a[:-1], lambda a: a[:0], lambda a: np.r_[a, a], lambda a: a.astype(np.int32),
     lambda a: a + 1, lambda a: np.r_[a[:-1], [[300]]], lambda a: np.r_[a[:-1], [[BIG]]],
     lambda a: np.r_[a[:1], a[:-1]], lambda a: np.r_[[[-1]], a[1:]], lambda a: a.reshape(-1, 2),
     lambda a: a.astype(np.float64), None],
    ids=["reversed", "short", "empty", "long", "int32", "shifted", "beyond", "huge", "twice", "negative", "columns",
         "float64", "missing"],
)  # fmt: skip
def test_dataset_indices_that_do_not_fit(saved, change):
    def spoil(sections):
        indices = sections.pop(INDICES)
        if change is not None:
            sections[INDICES] = change(indices)

    rewrite_partition(saved, 1, spoil)
    with pytest.raises(CoverTreeError, match="part-00001"):
        load(saved).knn(4)


def test_a_partition_of_another_kind_or_type(points, saved, tmp_path):
    (path,) = saved.glob("part-00001-*")
    data = path.read_bytes()
    for other in (points[:100].astype(np.float64), points[:100, :2], points[:99]):
        cover_tree(other).save(path)
        indices = file_reader.read(data).sections[INDICES][: len(other)]
        rewrite_partition(saved, 1, lambda sections, indices=indices: sections.update({INDICES: indices}))
        with pytest.raises(CoverTreeError, match="part-00001"):
            load(saved).knn(4)


def test_indices_that_two_partitions_have(saved):
    """Only reading everything shows them; until then neighbours are wrong, and nothing worse."""

    def spoil(sections):
        sections[INDICES][1:] = np.arange(201, 300)[:, None]

    rewrite_partition(saved, 1, spoil)
    assert load(saved).knn(4).max() < 300
    with pytest.raises(CoverTreeError, match="twice"):
        load(saved, verify=True)


def test_a_folder_of_an_older_format(tmp_path):
    (tmp_path / "partitions.json").write_text("{}")
    with pytest.raises(CoverTreeError, match="older format"):
        load(tmp_path)


# Replacing


def test_a_tree_is_replaced_in_one_step(points, wanted, tmp_path):
    save(points[:200], tmp_path / "tree", 5)
    (tmp_path / "tree" / "notes.txt").write_text("mine")
    old, before = load(tmp_path / "tree"), set(names(tmp_path / "tree"))
    save(points, tmp_path / "tree", 2)
    assert (load(tmp_path / "tree", verify=True).knn(4) == wanted).all()
    assert set(names(tmp_path / "tree")) & before == {MANIFEST, "notes.txt"}
    assert len(names(tmp_path / "tree")) == 4
    with pytest.raises(CoverTreeError, match="another tree"):
        old.knn(4)


class Ended(Exception):
    pass


def end():
    raise Ended


def ending_at(count):
    """A progress callback that ends a build when it is called for the `count`-th time."""
    left = [count]

    def report(share):
        left[0] -= 1
        if left[0] == 0:
            raise Ended

    return report


def test_a_block_that_raises_leaves_one_tree(points, wanted, tmp_path):
    save(points, tmp_path / "tree", 3)
    before = names(tmp_path / "tree")
    with pytest.raises(Ended), filling(tmp_path / "tree", replace=True) as (folder, tag):
        save_partition(in_partitions(points[:99], 1, cover_tree)[0][0], partition_path(folder, tag, 0))
        end()
    assert names(tmp_path / "tree") == before
    assert (load(tmp_path / "tree", verify=True).knn(4) == wanted).all()
    # Once the manifest is written, it is the new one.
    with pytest.raises(Ended):
        save(points[:99], tmp_path / "tree", 1, then=end)
    assert len(load(tmp_path / "tree", verify=True)) == 99
    assert len(names(tmp_path / "tree")) == 2
    # Where the whole folder is new, nothing is left.
    with pytest.raises(Ended), filling(tmp_path / "new" / "one") as (folder, _):
        for name in names(tmp_path / "tree"):
            shutil.copy(tmp_path / "tree" / name, folder)
        end()
    assert sorted(os.listdir(tmp_path)) == ["tree"]


def test_files_of_a_damaged_folder_stay_until_it_is_replaced(points, wanted, saved):
    (saved / MANIFEST).write_bytes(b"damaged")
    before = set(names(saved))
    with pytest.raises(Ended), filling(saved, replace=True):
        end()
    assert set(names(saved)) == before
    save(points, saved, 2)
    assert (load(saved, verify=True).knn(4) == wanted).all()
    assert len(names(saved)) == 3


def test_one_process_at_a_time(points, saved):
    with filling(saved, replace=True), pytest.raises(FileExistsError, match="another process"):
        save(points, saved, 2)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_file_systems_without_locks(points, wanted, tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    if number == errno.EIO:
        with pytest.raises(OSError, match=os.strerror(number)):
            cover_tree(points, folder=tmp_path / "tree")
    else:
        cover_tree(points, folder=tmp_path / "tree", partition_size=100)
        assert (load(tmp_path / "tree").knn(4) == wanted).all()


def test_folders_and_their_marker_are_on_the_disk(points, tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def record(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        synced.append((path, sorted(os.listdir(path))))
        fsync(descriptor)

    def build(number):
        synced.clear()
        cover_tree(points, folder=tmp_path / "a" / "b" / "tree", progress=ending_at(number))

    monkeypatch.setattr(os, "fsync", record)
    folder, marker = str(tmp_path / "a" / "b" / "tree"), "unfinished.lock"
    with pytest.raises(Ended):
        build(3)
    assert synced[-1] == (folder, [marker])  # files are removed before the marker, on the disk, too
    build(-1)
    above = {path for path, _ in synced[:3]}
    assert above == {str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")}
    assert synced[3] == (folder, [marker])
    assert synced[-1] == (folder, [*names(tmp_path / "a" / "b" / "tree"), marker])


# In a process into which `crash.c` was loaded: a child writes a tree, and is ended before its n-th call that writes.
BODY = """
    import ctypes, os, shutil, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[3])
    import numpy as np
    from covertreex import CoverTreeError, cover_tree, load
    from test_partition_folders import save

    crash, folder, what = ctypes.CDLL(None), Path(sys.argv[1]), sys.argv[2]
    points = np.random.default_rng(0).standard_normal((400, 3)).astype(np.float32)
    old, new = cover_tree(points[:300]).knn(3), cover_tree(points).knn(3)
    save(points[:300], folder / "first", 3)

    def build(path):
        return cover_tree(points, folder=path, partition_size=200)

    n, ended, seen = 0, 0, set()
    while True:
        path = folder / "tree"
        if what == "replace":
            shutil.copytree(folder / "first", path)
        child = os.fork()
        if not child:
            crash.crash_after(n)
            build(path) if what == "build" else save(points, path, 2)
            crash.crash_after(-1)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -9), (n, code)
        try:
            found = load(path, verify=True).knn(3)
        except (FileNotFoundError, IsADirectoryError):
            assert what == "build" and code, n
            found = None
        is_new = found is not None and found.shape == new.shape
        if found is not None:
            assert (found == (new if is_new else old)).all(), n
        seen.add(is_new)
        # The next call goes on from there, and removes the files that were left.
        if what == "replace":
            save(points[:99], path, 4)
            assert len(load(path, verify=True)) == 99, n
            left = [name for name in os.listdir(path) if not name.startswith(".")]
            assert len(left) == 5, (n, left)
        elif is_new:
            try:
                build(path)
                raise AssertionError(n)
            except FileExistsError:
                pass
        else:
            assert (build(path).knn(3) == new).all(), n
            assert len(os.listdir(path)) == 3, (n, os.listdir(path))
        shutil.rmtree(path)
        if code == 0:
            break
        ended += 1
        n += 1
    print(ended, *sorted(seen))
"""


@pytest.mark.parametrize("what", ["build", "replace"])
def test_ended_before_each_call_that_writes(shim, tmp_path, what):
    arguments = [sys.executable, "-c", textwrap.dedent(BODY), str(tmp_path), what, os.path.dirname(__file__)]
    done = subprocess.run(
        arguments, capture_output=True, text=True, env={**os.environ, "LD_PRELOAD": str(shim)}, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    ended, *seen = done.stdout.split()
    assert int(ended) >= 20
    assert seen == ["False", "True"]
