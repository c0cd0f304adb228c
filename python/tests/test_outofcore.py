"""Trees in partitions on disk."""

import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from test_partition_folders import Ended, ending_at

from covertreex import CoverTreeError, MappedTree, cover_tree, load


@pytest.fixture
def mapped(rng, tmp_path):
    """Points in a file, mapped."""
    points = np.concatenate([rng.standard_normal((4000, 3)), rng.integers(0, 5, (1000, 3)) * 0.1]).astype(np.float32)
    np.save(tmp_path / "points.npy", points)
    return np.load(tmp_path / "points.npy", mmap_mode="r")


@pytest.mark.parametrize("options", [{}, {"predecessor_mode": True}, {"exclude_self": True}], ids=str)
def test_neighbours_are_those_of_a_tree_in_memory(mapped, tmp_path, options):
    tree = cover_tree(mapped, folder=tmp_path / "tree", partition_size=700)
    assert isinstance(tree, MappedTree)
    assert tree.n_partitions == 8
    assert tree.partition_sizes.sum() == len(tree) == 5000
    whole = cover_tree(np.array(mapped))
    for found, wanted in zip(
        tree.knn(5, return_distances=True, **options), whole.knn(5, return_distances=True, **options)
    ):
        assert found.dtype == wanted.dtype
        assert (found == wanted).all()


def test_new_points_and_a_radius(mapped, tmp_path, rng):
    tree = cover_tree(mapped, folder=tmp_path / "tree", partition_size=700)
    whole, new = cover_tree(np.array(mapped)), rng.standard_normal((400, 3))
    assert (tree.knn(5, queries=new) == whole.knn(5, queries=new)).all()
    found, wanted = (t.radius(0.3, queries=new, return_distances=True) for t in (tree, whole))
    assert all((getattr(found, name) == getattr(wanted, name)).all() for name in ("offsets", "indices", "distances"))
    assert tree.knn(2, queries=np.empty((0, 3))).shape == (0, 2)


def test_results_may_go_to_files(mapped, tmp_path):
    tree = cover_tree(mapped, folder=tmp_path / "tree", partition_size=2000)
    shares = []
    indices, distances = tree.knn(4, return_distances=True, out=tmp_path / "out", progress=shares.append)
    assert isinstance(indices, np.memmap)
    wanted = cover_tree(np.array(mapped)).knn(4, return_distances=True)
    assert (indices == wanted[0]).all()
    assert (np.load(tmp_path / "out" / "distances.npy") == wanted[1]).all()
    assert (np.diff(shares) >= 0).all()
    assert shares[-1] == 1
    assert distances.shape == (5000, 4)


def test_it_is_opened_again(mapped, tmp_path):
    tree = cover_tree(mapped, folder=tmp_path / "tree", partition_size=2000, dtype="float64", leaf_size=16)
    again = load(tmp_path / "tree")
    assert again.dtype == np.float64
    assert (again.knn(3) == tree.knn(3)).all()
    assert "n_partitions=3" in repr(again)


def test_only_partitions_are_left_on_disk(mapped, tmp_path):
    cover_tree(mapped, folder=tmp_path / "tree", partition_size=2000)
    names = [re.sub("-[0-9a-f]{8}", "", name) for name in sorted(os.listdir(tmp_path / "tree"))]
    assert names == [*(f"part-0000{number}.covertree" for number in range(3)), "partitions.covertree"]


def test_bad_input_is_refused(mapped, tmp_path, rng):
    with pytest.raises(ValueError, match="folder"):
        cover_tree(mapped, folder=tmp_path / "a", kernel=lambda a, b: a @ b.T)
    with pytest.raises(ValueError, match="partition_size"):
        cover_tree(mapped, partition_size=10)
    with pytest.raises(ValueError, match="partition_size"):
        cover_tree(mapped, folder=tmp_path / "a", partition_size=0)
    with pytest.raises(ValueError, match="points"):
        cover_tree(np.empty((0, 3)), folder=tmp_path / "a")
    bad = np.array(mapped)
    bad[1234, 1] = np.nan
    with pytest.raises(ValueError, match=r"points\[1234, 1\]"):
        cover_tree(bad, folder=tmp_path / "b")
    cover_tree(mapped, folder=tmp_path / "c")
    with pytest.raises(FileExistsError):
        cover_tree(mapped, folder=tmp_path / "c")
    tree = load(tmp_path / "c")
    for queries, message in ((rng.random((3, 2)), "columns"), ([[0, np.inf, 0]], r"queries\[0, 1\]")):
        with pytest.raises(ValueError, match=message):
            tree.knn(2, queries=queries)
    with pytest.raises(ValueError, match="predecessor_mode"):
        tree.knn(2, queries=rng.random((3, 3)), predecessor_mode=True)
    with pytest.raises(ValueError, match="r:"):
        tree.radius(-1, queries=rng.random((3, 3)))


def test_folders_without_a_tree_are_reported(mapped, tmp_path):
    with pytest.raises(OSError, match="partitions"):
        load(tmp_path)
    cover_tree(mapped, folder=tmp_path / "tree", partition_size=2000)
    (tmp_path / "tree" / "partitions.covertree").write_text("{}")
    with pytest.raises(CoverTreeError, match="not a file of covertree"):
        load(tmp_path / "tree")


# Builds that do not end


@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 10])
def test_a_build_that_is_ended_leaves_nothing(mapped, tmp_path, count, there):
    path = tmp_path / "above" / "tree"
    if there:
        path.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Ended):
        cover_tree(mapped, folder=path, partition_size=700, progress=ending_at(count))
    assert sorted(tmp_path.rglob("*")) == before
    assert (cover_tree(mapped, folder=path, partition_size=700).knn(3) == cover_tree(np.array(mapped)).knn(3)).all()


class Unread(np.ndarray):
    """Points that are not to be checked."""

    def __getitem__(self, _):
        raise AssertionError("the points were read")


@pytest.mark.parametrize(
    ("options", "error"),
    [({"order": "x"}, ValueError), ({"leaf_size": 0}, ValueError), ({"leaf_size": 70_000}, ValueError),
     ({"seed": -1}, ValueError), ({"seed": "x"}, TypeError), ({"n_threads": 0}, ValueError),
     ({"dtype": "int8"}, TypeError), ({"partition_size": 0}, ValueError), ({"partition_size": 1.5}, TypeError)],
    ids=str,
)  # fmt: skip
def test_options_are_looked_at_before_points(mapped, tmp_path, options, error):
    points = np.asarray(mapped).view(Unread)
    with pytest.raises(error, match=next(iter(options))):
        cover_tree(points, folder=tmp_path / "tree", **options)
    with pytest.raises(TypeError, match="nonsense"):
        MappedTree.build(points, tmp_path / "tree", nonsense=1)
    assert os.listdir(tmp_path) == ["points.npy"]


KILLED = """
    import os, sys
    import numpy as np
    from covertreex import cover_tree
    calls = []
    def report(share):
        calls.append(share)
        if len(calls) == int(sys.argv[2]):
            os._exit(9)
    cover_tree(np.load("points.npy"), folder=sys.argv[1], partition_size=700, progress=report)
"""


@pytest.mark.parametrize("count", [2, 3, 6])
def test_files_of_a_killed_process_are_removed_by_the_next(mapped, tmp_path, count):
    arguments = [sys.executable, "-c", textwrap.dedent(KILLED), "tree", str(count)]
    assert subprocess.run(arguments, check=False, cwd=tmp_path, timeout=120).returncode == 9
    assert os.listdir(tmp_path / "tree") != []
    with pytest.raises(OSError, match="without a tree"):
        load(tmp_path / "tree")
    tree = cover_tree(mapped, folder=tmp_path / "tree", partition_size=2000)
    assert (tree.knn(3) == cover_tree(np.array(mapped)).knn(3)).all()
    assert len(os.listdir(tmp_path / "tree")) == 4


@pytest.mark.parametrize("marked", [False, True], ids=["", "next to files of a killed process"])
@pytest.mark.parametrize("name", ["notes.txt", "partitions.covertree", "part-1.npy"])
def test_files_of_others_stay(mapped, tmp_path, name, marked):
    folder = tmp_path / "tree"
    folder.mkdir()
    names = [name, *(["unfinished.lock", "part-00000-0123abcd.points"] if marked else [])]
    for one in names:
        (folder / one).write_text("mine")
    with pytest.raises(FileExistsError, match="folder"):
        cover_tree(mapped, folder=folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(names, "mine")
    with pytest.raises(FileExistsError):
        cover_tree(mapped, folder=folder / name)


def test_two_builds_do_not_share_a_folder(mapped, tmp_path):
    refused = []

    def report(share):
        if not refused:
            with pytest.raises(FileExistsError, match="another process") as error:
                cover_tree(mapped, folder=tmp_path / "tree", partition_size=700)
            refused.append(error)

    tree = cover_tree(mapped, folder=tmp_path / "tree", partition_size=2000, progress=report)
    assert len(refused) == 1
    assert (tree.knn(3) == cover_tree(np.array(mapped)).knn(3)).all()


def test_a_search_that_is_ended_does_not_spoil_the_next(mapped, tmp_path):
    tree = cover_tree(mapped, folder=tmp_path / "tree", partition_size=700)
    wanted = cover_tree(np.array(mapped)).knn(4)
    tree.knn(4, out=tmp_path / "out")
    with pytest.raises(Ended):
        tree.knn(3, out=tmp_path / "out", progress=ending_at(4))
    assert sorted(os.listdir(tmp_path / "out")) == ["indices.npy"]
    assert (np.load(tmp_path / "out" / "indices.npy") == wanted).all()
    assert (tree.knn(4, out=tmp_path / "out") == wanted).all()


# Paths


def test_a_tree_stays_where_it_was_opened(mapped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = cover_tree(np.array(mapped)).knn(3)

    def moving(share):
        monkeypatch.chdir("/")

    built = cover_tree(mapped, folder="tree", partition_size=700, progress=moving)
    monkeypatch.chdir(tmp_path)
    opened = load("tree")
    found = opened.knn(3, out="out", progress=moving)
    for tree in (built, opened):
        assert (tree.knn(3) == wanted).all()
    assert (found == wanted).all()
    assert (np.load(tmp_path / "out" / "indices.npy") == wanted).all()


def test_a_link_to_a_folder_is_followed(mapped, tmp_path):
    (tmp_path / "far").mkdir()
    for name in ("there", "new"):
        (tmp_path / name).symlink_to(f"far/{name}")
    (tmp_path / "far" / "there").mkdir()
    for name in ("there", "new"):
        tree = cover_tree(mapped, folder=tmp_path / name, partition_size=2000)
        # Where the link leads later does not matter.
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to("nowhere")
        assert (tree.knn(2) == cover_tree(np.array(mapped)).knn(2)).all()
