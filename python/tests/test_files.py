"""Trees and conditioning sets that outlive the process: files, pickles and copies, and what a damaged file does."""

import contextlib
import copy
import multiprocessing
import multiprocessing.pool
import os
import pickle
import resource
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import file_reader
import joblib
import numpy as np
import pytest
from hypothesis import given
from strategies import orders, point_sets

from covertreex import CoverTreeError, ResidualCoverTree, cover_tree, load, vecchia
from covertreex.indexes import BruteForce
from covertreex.kernels import RBF, Matern12, Matern32, Matern52


def same_arrays(one, other):
    for a, b in zip(one.export_arrays(), other.export_arrays()):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def same_answers(one, other, queries, **options):
    for a, b in zip(
        one.knn(4, queries=queries, return_distances=True, **options),
        other.knn(4, queries=queries, return_distances=True, **options),
    ):
        np.testing.assert_array_equal(a, b)


def smooth_model(rng, n=1500):
    """A residual tree that has skeletons."""
    tree = cover_tree(rng.random((n, 2)), kernel=RBF(lengthscale=0.4), inducing_count=40)
    assert tree.stats().n_pivots > 0
    return tree


# Round trips


@given(point_sets(max_points=60, max_dim=6), orders)
def test_a_tree_comes_back_as_it_was(tmp_path_factory, points, order):
    path = tmp_path_factory.getbasetemp() / "tree.covertree"
    tree = cover_tree(points, order=order, seed=3, leaf_size=8)
    tree.save(path)
    for mmap in (True, False):
        again = load(path, mmap=mmap, verify=True, points=points)
        same_arrays(again, tree)
        same_answers(again, tree, None)
        assert again.validate()
        assert (again.order, again.dtype, again.dim) == (order, tree.dtype, tree.dim)


def test_removed_and_inserted_points_come_back(rng, tmp_path):
    tree = cover_tree(rng.standard_normal((500, 3)))
    tree.insert(rng.standard_normal((100, 3)))
    tree.remove(np.arange(0, 90, 2))
    tree.save(tmp_path / "tree")
    again = load(tmp_path / "tree")
    np.testing.assert_array_equal(again.indices, tree.indices)
    same_arrays(again, tree)
    same_answers(again, tree, rng.standard_normal((50, 3)))
    with pytest.raises(IndexError):
        again.knn(1, queries=[0])
    # It goes on as the other one does.
    batch = rng.standard_normal((70, 3))
    np.testing.assert_array_equal(again.insert(batch), tree.insert(batch))
    same_arrays(again, tree)
    assert again.validate()
    again.save(tmp_path / "tree")
    same_arrays(load(tmp_path / "tree"), tree)


KERNELS = [RBF(0.4), Matern12(0.3), Matern32([0.2, 0.7], variance=3.0), Matern52(0.5, variance=0.1)]


@pytest.mark.parametrize("searched", [False, True])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_residual_tree_resumes(rng, tmp_path, kernel, searched):
    points = rng.random((900, 2))
    tree = cover_tree(
        points, kernel=kernel, inducing_count=30, cover_tree_metric="residual_correlation", order="natural", seed=5
    )
    if searched:
        tree.knn(3)
    tree.save(tmp_path / "tree")
    again = load(tmp_path / "tree", points=points)
    assert (again.kernel, again.cover_tree_metric, again.order, again.seed) == (
        kernel,
        "residual_correlation",
        "natural",
        5,
    )
    np.testing.assert_array_equal(again.v_matrix, tree.v_matrix)
    np.testing.assert_array_equal(again.residual_variance, tree.residual_variance)
    np.testing.assert_array_equal(again.inducing_points, tree.inducing_points)
    assert again.stats().n_pivots == tree.stats().n_pivots
    assert again.stats().jitter == tree.stats().jitter
    for options in ({"queries": None, "predecessor_mode": True}, {"queries": rng.random((40, 2))}):
        same_answers(again, tree, **options)
    same_arrays(again, tree)
    assert again.validate()
    more = rng.random((30, 2))
    np.testing.assert_array_equal(again.insert(more), tree.insert(more))
    again.refit(RBF(0.2))
    tree.refit(RBF(0.2))
    same_answers(again, tree, None)


def test_structures_of_the_first_search_are_saved_too(rng, tmp_path):
    tree = smooth_model(rng)
    tree.knn(3)
    tree.save(tmp_path / "tree")
    sections = file_reader.read((tmp_path / "tree").read_bytes()).sections
    assert {"skeletons.pivots", "skeletons.combinations", "products.elements", "products.bounds"} <= sections.keys()
    again = load(tmp_path / "tree")
    same_answers(again, tree, None)
    stats = again.stats()
    assert stats.blocks_estimated > 0
    assert stats.skeleton_seconds == stats.bound_seconds == 0


def test_low_rank_blocks_of_another_layout_are_made_anew(rng, tmp_path):
    tree = smooth_model(rng)
    tree.knn(3)
    tree.save(tmp_path / "tree")
    file = file_reader.read((tmp_path / "tree").read_bytes())
    for name in list(file.sections):
        if name.startswith(("skeletons.", "products.")):
            del file.sections[name]
    file.sections["skeletons.factors"] = np.zeros((8, 1))
    (tmp_path / "earlier").write_bytes(file_reader.write(file))
    again = load(tmp_path / "earlier")
    assert again.stats().n_pivots == tree.stats().n_pivots
    same_answers(again, tree, None)


def test_given_features_and_a_callback_kernel(rng, tmp_path):
    points = rng.random((300, 2))
    model = cover_tree(points, kernel=RBF(0.3), inducing_count=10)
    given_features = cover_tree(points, kernel=RBF(0.3), v_matrix=model.v_matrix, p_diag=model.p_diag)
    given_features.save(tmp_path / "given")
    again = load(tmp_path / "given")
    same_answers(again, given_features, None)
    assert again.inducing_points is None
    with pytest.raises(CoverTreeError, match="v_matrix is the caller's"):
        again.insert(points[:2])

    custom = cover_tree(points, kernel=callback_kernel, inducing_count=10)
    custom.save(tmp_path / "callback")
    with pytest.raises(ValueError, match=r"^kernel: the file was saved with the caller's kernel; give it"):
        load(tmp_path / "callback")
    with pytest.raises(ValueError, match=r"^kernel: the file has a kernel of the library"):
        load(tmp_path / "given", kernel=callback_kernel)
    same_answers(load(tmp_path / "callback", kernel=callback_kernel), custom, points[:20] + 0.01)
    same_answers(pickle.loads(pickle.dumps(custom)), custom, None)


def callback_kernel(a, b):
    return np.exp(-2 * ((a[:, None] - b[None]) ** 2).sum(axis=2))


def test_other_points_are_reported(rng, tmp_path):
    points = rng.random((50, 2))
    cover_tree(points).save(tmp_path / "tree")
    load(tmp_path / "tree", points=points)
    load(tmp_path / "tree", points=np.asfortranarray(points))
    for other in (points[::-1], points[:-1], points + 1e-9):
        with pytest.raises(CoverTreeError, match=r"^points: the file was saved from other points"):
            load(tmp_path / "tree", points=other)


@pytest.mark.parametrize("kept", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"kernel": RBF(), "inducing_count": 5}])
def test_points_are_the_same_in_the_type_in_which_a_tree_keeps_them(rng, tmp_path, kept, options):
    points = rng.random((50, 2))
    cover_tree(points, dtype=kept, **options).save(tmp_path / "tree")
    load(tmp_path / "tree", points=points)
    load(tmp_path / "tree", points=points.tolist())
    same = kept == "float32" and not options
    for other in [points[::-1]] + ([] if same else [points.astype(np.float32)]):
        with pytest.raises(CoverTreeError, match=r"^points: the file was saved from other points"):
            load(tmp_path / "tree", points=other)
    if same:
        load(tmp_path / "tree", points=points.astype(np.float32))
    for shape in ((0, 2), (50, 0)):
        with pytest.raises(ValueError, match=r"^points: expected"):
            load(tmp_path / "tree", points=np.empty(shape))


# The format


def test_the_checksum_is_the_known_one():
    assert file_reader.crc32c(b"123456789") == 0xE3069283


def test_python_reads_the_files_by_their_description(rng, tmp_path):
    points = rng.standard_normal((40_000, 3)).astype(np.float32)  # sections of several pieces are too slow in Python
    points[:100] = -0.0
    tree = cover_tree(points[:900])
    tree.save(tmp_path / "tree")
    assert not {"points", "boxes.removed"} & set(file_reader.read((tmp_path / "tree").read_bytes()).sections)
    tree.export_arrays()
    tree.remove([3, 8])
    tree.save(tmp_path / "tree")
    file = file_reader.read((tmp_path / "tree").read_bytes())
    arrays = tree.export_arrays()
    assert file.kind == 1
    for name in arrays._fields:
        np.testing.assert_array_equal(np.squeeze(file.sections[name]), getattr(arrays, name))
    assert file.sections["settings"].ravel().tolist() == [3, 900, 0, 32, 0, 1, 0]
    labels = file.sections["boxes.labels"].ravel()[:900]
    assert sorted(labels[file.sections["boxes.removed"].ravel() == 1]) == [3, 8]
    leaves = file.sections["boxes.coordinates"].reshape(-1, 3, 16).swapaxes(1, 2).reshape(-1, 3)[:900]
    np.testing.assert_array_equal(leaves, points[labels])
    kept = np.delete(np.arange(900), [3, 8])
    assert file.input_hash == file_reader.points_hash(points[kept], kept)
    assert (tmp_path / "tree").read_bytes() == file_reader.write(file)


def test_python_reads_and_writes_every_kind(rng, tmp_path):
    model = smooth_model(rng, n=600)
    model.knn(2)
    model.save(tmp_path / "model")
    for name in (*saved_files(rng, tmp_path), "model"):
        data = (tmp_path / name).read_bytes()
        file = file_reader.read(data)
        assert file_reader.write(file) == data
    assert file.kind == 2
    assert file.input_hash == file_reader.points_hash(file.sections["points"])
    positions = np.argsort(file.sections["order"][:, 0])
    np.testing.assert_array_equal(file.sections["v_matrix"][positions, :40], model.v_matrix)


def test_a_section_of_several_pieces(rng, tmp_path):
    points = rng.standard_normal((100_000, 3))
    cover_tree(points).save(tmp_path / "tree")
    data = (tmp_path / "tree").read_bytes()
    count = struct.unpack_from("<I", data, 20)[0]
    entries = [file_reader.ENTRY.unpack_from(data, 64 + 64 * index) for index in range(count)]
    name, _, crc, offset, rows, columns = entries[1]
    assert name.rstrip(b"\0") == b"boxes.coordinates"
    assert crc == file_reader.section_sum(data[offset : offset + rows * columns * 8])


def test_sections_are_aligned_and_a_mapped_tree_is_used_where_it_lies(rng, tmp_path):
    path = tmp_path / "tree"
    tree = cover_tree(rng.standard_normal((5000, 3)))
    tree.export_arrays()
    tree.save(path)
    arrays = load(path).export_arrays()
    for array in arrays[:-1]:
        assert array.ctypes.data % 64 == 0
        assert not array.flags.writeable
        assert array.flags.c_contiguous
    with open("/proc/self/maps") as maps:
        ((mapped, permissions),) = [line.split()[:2] for line in maps if line.rstrip().endswith(str(path))]
    assert permissions == "r--s", "shared with other processes, and not written to"
    low, high = (int(bound, 16) for bound in mapped.split("-"))
    assert all(low <= array.ctypes.data < high for array in arrays[:-1])
    before = arrays.points.copy()
    path.unlink()
    np.testing.assert_array_equal(arrays.points, before)


# Faults


def saved_files(rng, folder):
    """A small file of each kind, and how it is used."""
    points = rng.random((9, 2))
    tree = cover_tree(points.astype(np.float32), leaf_size=4)
    tree.export_arrays()
    tree.save(folder / "tree")
    cover_tree(points, kernel=RBF(0.5), inducing_count=3).save(folder / "residual")
    vecchia.neighbors(points, kernel=RBF(0.5), m=2, n_inducing=3, return_distances=True).save(folder / "sets")
    return ["tree", "residual", "sets"]


def use(path, **options):
    opened = load(path, **options)
    if not isinstance(opened, vecchia.ConditioningSets):
        opened.knn(3)
        opened.export_arrays()
    return opened


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("options", [{}, {"mmap": False, "verify": True}])
def test_every_flipped_byte_is_an_error(rng, tmp_path, kind, options):
    path = tmp_path / saved_files(rng, tmp_path)[kind]
    data = bytearray(path.read_bytes())
    use(path, **options)
    for at in range(len(data)):
        data[at] ^= 0x5A
        path.write_bytes(data)
        with pytest.raises(CoverTreeError):
            use(path, **options)
        data[at] ^= 0x5A


@pytest.mark.parametrize("kind", range(3))
def test_truncated_files_and_files_with_more(rng, tmp_path, kind):
    path = tmp_path / saved_files(rng, tmp_path)[kind]
    data = path.read_bytes()
    for length in [*range(0, 200), *range(200, len(data), 61), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(CoverTreeError, match=r"^path"):
            load(path)
    path.write_bytes(data + bytes(64))
    with pytest.raises(CoverTreeError, match=r"^path.*has \d+; was it cut off"):
        load(path)


def test_foreign_newer_and_big_endian_files(rng, tmp_path):
    path = tmp_path / saved_files(rng, tmp_path)[0]
    file = file_reader.read(path.read_bytes())
    for data, message in [
        (b"", "not a file of covertree"),
        (b"PK\x03\x04" + bytes(200), "not a file of covertree"),
        (path.read_bytes().replace(b"\r\n", b"\n", 1), "not a file of covertree"),
        (file_reader.write(file, version=2), "format version 2; this library reads version 1"),
        (file_reader.write(file, order=0x0D0C0B0A), "big-endian"),
        (file_reader.write(file_reader.File(9, 0, file.sections)), "does not know"),
    ]:
        path.write_bytes(data)
        with pytest.raises(CoverTreeError, match=message):
            load(path)


@pytest.mark.parametrize("searched", [False, True])
def test_numbers_that_lead_nowhere_are_not_followed(rng, tmp_path, searched):
    """Files whose checksums are right, written by somebody who means ill."""
    path = tmp_path / saved_files(rng, tmp_path)[0]
    model = smooth_model(rng, n=600)
    if searched:
        model.knn(2)
    model.save(tmp_path / "model")
    for file_path in (path, tmp_path / "model"):
        file = file_reader.read(file_path.read_bytes())
        for name, array in file.sections.items():
            changes = [array[:-1], np.concatenate([array, array])]
            if array.dtype.kind == "i":
                for value in (-1, -(2**31), 2**31 - 1, 10**6):
                    for position in (0, array.size // 2, array.size - 1):
                        changed = array.copy()
                        changed.flat[position] = value
                        changes.append(changed)
                changes.append(np.full_like(array, array.flat[0]))
            for changed in changes:
                file_path.write_bytes(
                    file_reader.write(file_reader.File(file.kind, 0, {**file.sections, name: changed}))
                )
                survives(file_path)
            without = {other: values for other, values in file.sections.items() if other != name}
            file_path.write_bytes(file_reader.write(file_reader.File(file.kind, 0, without)))
            survives(file_path)


def contradictions(file):
    """Invalid trees: each number is in range, and they do not go together."""
    sections = file.sections
    inner = int(np.argmax(sections["subtree_end"][1:] > np.arange(2, len(sections["levels"]) + 1)[:, None])) + 1
    positions = sections["boxes.labels"].size
    for name, changes in {
        "levels": [(inner, sections["levels"].flat[0]), (0, -(2**31))],
        "subtree_end": [(inner, inner + 1), (0, inner + 1)],
        "parents": [(len(sections["parents"]) - 1, 0), (1, 1)],
        "children": [(0, sections["children"].flat[1])],
        "children_offsets": [(1, 0)],
        "order": [(0, sections["order"].flat[1])],
        "boxes.labels": [(0, sections["boxes.labels"].flat[1]), (positions - 1, 0)],
        "boxes.sides": [(sections["boxes.sides"].shape[1] - 1, 0.0)],  # of a child that is not there
    }.items():
        for position, value in changes:
            changed = sections[name].copy()
            if changed.flat[position] != value:
                changed.flat[position] = value
                yield f"{name}[{position}] = {value}", name, changed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tree_that_contradicts_itself_is_refused(rng, tmp_path, dtype):
    """Found by fuzzing: what changed such a tree wrote where nothing was."""
    path = tmp_path / "tree"
    tree = cover_tree(rng.random((70, 2)).astype(dtype))
    tree.export_arrays()
    tree.save(path)
    file = file_reader.read(path.read_bytes())
    tried = 0
    for what, name, changed in contradictions(file):
        path.write_bytes(file_reader.write(file_reader.File(file.kind, 0, {**file.sections, name: changed})))
        with pytest.raises(CoverTreeError):
            load(path).insert(rng.random((5, 2)).astype(dtype))
            pytest.fail(what)
        tried += 1
    assert tried >= 10


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rejects_nan_and_infinity_in_a_file(rng, tmp_path, value):
    """Found by fuzzing: they had no position on the Hilbert curve."""
    path = tmp_path / "file"
    for thing in (cover_tree(rng.random((70, 2))), cover_tree(rng.random((70, 2)), kernel=RBF(0.5), inducing_count=3)):
        thing.save(path)
        file = file_reader.read(path.read_bytes())
        for name, array in file.sections.items():
            if array.dtype.kind == "f":
                changed = array.copy()
                changed[::2] = value
                path.write_bytes(file_reader.write(file_reader.File(file.kind, 0, {**file.sections, name: changed})))
                survives(path)
                with contextlib.suppress(CoverTreeError, ValueError, TypeError):
                    load(path).insert(rng.random((5, 2)))


def test_a_factor_that_gives_no_features_to_new_points(rng, tmp_path):
    """They would be infinite, and what is built of them would never end."""
    path = tmp_path / "model"
    cover_tree(rng.random((70, 2)), kernel=RBF(0.5), inducing_count=3).save(path)
    file = file_reader.read(path.read_bytes())
    for value, message in ((0.0, "covariances overflow"), (np.inf, "whitening.factor")):
        factor = file.sections["whitening.factor"].copy()
        factor[0] = value
        path.write_bytes(file_reader.write(file_reader.File(2, 0, {**file.sections, "whitening.factor": factor})))
        with pytest.raises((CoverTreeError, ValueError), match=message):
            load(path).insert(rng.random((5, 2)))


def survives(path):
    with contextlib.suppress(CoverTreeError, ValueError):  # the latter where -1 means a callback kernel
        use(path)


def test_a_file_of_another_kind(rng, tmp_path):
    saved_files(rng, tmp_path)
    with pytest.raises(CoverTreeError, match="has no conditioning sets"):
        vecchia.ConditioningSets.load(tmp_path / "tree")


def test_paths(rng, tmp_path):
    tree = cover_tree(rng.random((10, 2)))
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        tree.save(tmp_path / "none" / "tree")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    with pytest.raises(OSError, match="is not a file"):
        load("/dev/null")
    with pytest.raises(ValueError, match=r"^path"):
        load("a\0b")
    with pytest.raises(OSError, match=r"path: /proc/tree"):
        tree.save("/proc/tree")
    assert list(tmp_path.iterdir()) == []
    tree.save(tmp_path / "bäume 树")
    same_arrays(load(tmp_path / "bäume 树"), tree)


def test_a_folder_that_is_read_only(rng):
    tree = cover_tree(rng.random((10, 2)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tree"
        tree.save(path)
        os.chmod(folder, 0o555)
        child = os.fork()
        if child == 0:  # as somebody who may not write there: root may
            try:
                os.setuid(65534 if os.geteuid() == 0 else os.geteuid())
            except OSError:
                os._exit(77)
            try:
                cover_tree(np.zeros((3, 2))).save(path)
            except PermissionError as error:
                os._exit(0 if str(path) in str(error) else 2)
            finally:
                os._exit(1)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.chmod(folder, 0o755)
        if ended == 77:
            pytest.skip("root may write anywhere, and cannot become anybody else here")
        assert ended == 0
        assert os.listdir(folder) == ["tree"]
        same_answers(load(path), tree, None)


def test_a_full_disk_leaves_the_old_file(rng, tmp_path):
    path = tmp_path / "tree"
    cover_tree(rng.random((100, 2))).save(path)
    before = path.read_bytes()
    program = f"""
        import errno, resource, signal
        import numpy as np
        import covertreex
        tree = covertreex.cover_tree(np.random.default_rng(0).random((50_000, 3)))
        sets = covertreex.vecchia.ConditioningSets(
            np.arange(9999), np.arange(9999), np.full((9999, 30), -1), None, "x")
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        for saved in (tree, sets):
            try:
                saved.save({str(path)!r})
            except OSError as error:
                assert error.errno == errno.EFBIG, error
            else:
                raise SystemExit("saved")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_save_that_is_ended_leaves_the_old_file(rng, tmp_path):
    path = tmp_path / "tree"
    cover_tree(rng.random((100, 2))).save(path)
    before = path.read_bytes()
    index = BruteForce(64)  # half a gigabyte: progress is reported each tenth of a second
    index.add(None, np.zeros((2_000_000, 64), np.float32))

    def end(share):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        index.save(path, progress=end)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_use_can_be_replaced(rng, tmp_path):
    path = tmp_path / "tree"
    first, second = cover_tree(rng.random((3000, 2))), cover_tree(rng.random((40, 2)))
    first.save(path)
    opened = load(path)
    second.save(path)
    same_answers(opened, first, None)
    same_answers(load(path), second, None)


def test_many_save_to_one_path_at_once(rng, tmp_path):
    trees = [cover_tree(rng.random((2000, 2))) for _ in range(4)]
    with multiprocessing.pool.ThreadPool(4) as pool:
        pool.map(lambda tree: [tree.save(tmp_path / "tree") for _ in range(10)], trees)
    assert load(tmp_path / "tree", verify=True).validate()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("end", ["replaced", "removed"])
def test_a_file_changes_while_it_is_replaced(rng, tmp_path, end):
    tree, path, other, stop = cover_tree(rng.random((20, 2))), tmp_path / "tree", tmp_path / "other", threading.Event()

    def disturb():
        while not stop.is_set():
            other.write_bytes(b"")
            os.replace(other, path)
            if end == "removed":
                path.unlink(missing_ok=True)

    with multiprocessing.pool.ThreadPool(1) as pool:
        disturbed = pool.apply_async(disturb)
        try:
            for _ in range(300):
                tree.save(path)
        finally:
            stop.set()
        disturbed.get()
    tree.save(path)
    same_answers(load(path), tree, None)


def test_a_file_without_a_name_is_not_replaced(rng, tmp_path):
    tree = cover_tree(rng.random((20, 2)))
    with open(tmp_path / "tree", "wb") as file:
        os.link(tmp_path / "tree", tmp_path / "link")
        os.unlink(tmp_path / "tree")
        for path in [f"/proc/self/fd/{file.fileno()}"] * 2:
            with pytest.raises(OSError, match="a file without a name"):
                tree.save(path)
            (tmp_path / "link").unlink(missing_ok=True)
    assert not list(tmp_path.iterdir())


# Pickles and copies


def kinds(rng):
    points = rng.random((400, 2))
    return [
        cover_tree(points, order="random", seed=9),
        cover_tree(points.astype(np.float32)),
        cover_tree(points, kernel=Matern52(0.3), inducing_count=20),
        ResidualCoverTree(points, lengthscale=0.3, inducing_count=20),
    ]


def test_pickles_and_copies_are_trees_of_their_own(rng):
    for tree in kinds(rng):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(tree, protocol))
            assert type(again) is type(tree)
            same_answers(again, tree, None)
        for made in (copy.copy(tree), copy.deepcopy(tree)):
            made.insert(rng.random((5, 2)))
            assert len(made) == len(tree) + 5
            same_arrays(pickle.loads(pickle.dumps(tree)), tree)


def test_buffers_go_out_of_band(rng):
    for tree in kinds(rng):
        buffers = []
        data = pickle.dumps(tree, protocol=5, buffer_callback=buffers.append)
        assert len(data) < 1000
        assert len(buffers) == 1
        frozen = [bytes(buffer.raw()) for buffer in buffers]
        same_answers(pickle.loads(data, buffers=frozen), tree, None)


def test_a_damaged_pickle(rng):
    buffers = []
    data = pickle.dumps(cover_tree(rng.random((50, 2))), protocol=5, buffer_callback=buffers.append)
    damaged = bytearray(buffers[0].raw())
    damaged[-100] ^= 1
    with pytest.raises(CoverTreeError, match=r"^bytes: section"):
        pickle.loads(data, buffers=[damaged]).knn(1)


def neighbours(tree):
    return tree.knn(3)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_other_processes(rng, method):
    trees = kinds(rng)
    with multiprocessing.get_context(method).Pool(2) as pool:
        for found, tree in zip(pool.map(neighbours, trees), trees):
            np.testing.assert_array_equal(found, tree.knn(3))


def test_joblib(rng, tmp_path):
    trees = kinds(rng)
    found = joblib.Parallel(n_jobs=2, max_nbytes=100)(joblib.delayed(neighbours)(tree) for tree in trees)
    for mine, tree in zip(found, trees):
        np.testing.assert_array_equal(mine, tree.knn(3))
    joblib.dump(trees[2], tmp_path / "tree.joblib")
    same_answers(joblib.load(tmp_path / "tree.joblib"), trees[2], None)
    same_answers(joblib.load(tmp_path / "tree.joblib", mmap_mode="r"), trees[2], None)


def test_points_that_are_mapped_read_only(rng, tmp_path):
    np.save(tmp_path / "points.npy", rng.random((500, 2)))
    points = np.load(tmp_path / "points.npy", mmap_mode="r")
    same_arrays(cover_tree(points), cover_tree(np.array(points)))
    tree = cover_tree(points, kernel=RBF(0.3), inducing_count=10)
    same_answers(pickle.loads(pickle.dumps(tree)), tree, None)


def test_a_closed_tree_cannot_be_saved(rng, tmp_path):
    tree = cover_tree(rng.random((10, 2)))
    tree.close()
    with pytest.raises(ValueError, match="closed"):
        tree.save(tmp_path / "tree")
    with pytest.raises(ValueError, match="closed"):
        pickle.dumps(tree)


def test_memory_is_given_back(rng, tmp_path):
    cover_tree(rng.random((200_000, 3))).save(tmp_path / "tree")
    load(tmp_path / "tree", mmap=False).knn(1, queries=[0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(30):
        load(tmp_path / "tree", mmap=False).knn(1, queries=[0])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KiB; the file has 13 MB
