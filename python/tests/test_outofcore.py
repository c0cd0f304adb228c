"""Trees in partitions on disk."""

import numpy as np
import pytest

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
    assert {path.suffix for path in (tmp_path / "tree").iterdir()} == {".covertree", ".npy", ".npz", ".json"}


def test_bad_input_is_refused(mapped, tmp_path, rng):
    with pytest.raises(ValueError, match="folder"):
        cover_tree(mapped, folder=tmp_path / "a", kernel=lambda a, b: a @ b.T)
    with pytest.raises(ValueError, match="partition_size"):
        cover_tree(mapped, partition_size=10)
    with pytest.raises(ValueError, match="partition_size"):
        cover_tree(mapped, folder=tmp_path / "a", partition_size=0)
    with pytest.raises(ValueError, match="coords"):
        cover_tree(np.empty((0, 3)), folder=tmp_path / "a")
    bad = np.array(mapped)
    bad[1234, 1] = np.nan
    with pytest.raises(ValueError, match=r"coords\[1234, 1\]"):
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


def test_folders_without_a_tree_are_told(mapped, tmp_path):
    with pytest.raises(OSError, match="partitions"):
        load(tmp_path)
    cover_tree(mapped, folder=tmp_path / "tree", partition_size=2000)
    (tmp_path / "tree" / "partitions.json").write_text("{}")
    with pytest.raises(CoverTreeError, match="folder"):
        load(tmp_path / "tree")
