"""Trees on a Dask cluster: answers are those of one machine, whatever happens to workers."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import folder_damage
import numpy as np
import pytest
from test_partitions import in_partitions

pytest.importorskip("distributed")

import dask.array as da
from dask.utils import key_split
from distributed import Client, LocalCluster, SchedulerPlugin, WorkerPlugin

import covertreex.dask
from covertreex import CoverTreeError, cover_tree, residual_tree
from covertreex._partitions.files import partition_path
from covertreex._partitions.filling import filling
from covertreex._partitions.permutation import Permutation
from covertreex.dask import _rounds, _source, _tasks
from covertreex.dask._build import Chunks
from covertreex.kernels import RBF, Matern52

SHAPES = {
    "normal": lambda rng, n: rng.standard_normal((n, 3)),
    "grid": lambda rng, n: rng.integers(0, 9, (n, 3)) * 0.1,
    "nine tenths duplicates": lambda rng, n: rng.standard_normal((n // 10, 3))[rng.integers(0, n // 10, n)],
    "one location": lambda rng, n: np.full((n, 3), 0.5),
}


@pytest.fixture(scope="module")
def client():
    """A cluster of three processes."""
    with LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


def chunked(points, size):
    return da.from_array(points, chunks=(size, points.shape[1]))


@pytest.mark.parametrize(("shape", "dtype"), zip(SHAPES, [np.float32, np.float64] * 2))
def test_neighbours_are_those_of_one_machine(client, rng, shape, dtype):
    points = SHAPES[shape](rng, 6000).astype(dtype)
    tree, whole = covertreex.dask.cover_tree(chunked(points, 700), client=client, n_partitions=7), cover_tree(points)
    assert tree.dtype == dtype
    assert tree.partition_sizes.sum() == len(tree) == 6000
    assert tree.partition_sizes.max() < 1.2 * tree.partition_sizes.mean()
    for options in ({}, {"predecessor_mode": True}, {"exclude_self": True}):
        found = tree.knn(6, return_distances=True, **options)
        wanted = whole.knn(6, return_distances=True, **options)
        for one, other in zip(found, wanted):
            assert isinstance(one, da.Array)
            assert one.dtype == other.dtype
            assert (one.compute() == other).all()
    assert tree.last_search.rounds <= 5


def test_queries_of_every_kind(client, rng):
    points, new = rng.standard_normal((5000, 3)), rng.standard_normal((900, 3))
    tree, whole = covertreex.dask.cover_tree(points, client=client, n_partitions=4), cover_tree(points)
    assert (tree.knn(5, queries=new) == whole.knn(5, queries=new)).all()
    assert (tree.knn(5, queries=chunked(new, 123)).compute() == whole.knn(5, queries=new)).all()
    rows = rng.integers(0, 5000, 300)  # some of them twice
    for options in ({}, {"predecessor_mode": True}, {"exclude_self": True}):
        assert (tree.knn(5, queries=rows, **options) == whole.knn(5, queries=rows, **options)).all()
    once = rng.permutation(5000)[:200]
    before = once // 2
    found = tree.knn(4, queries=once, before=before)
    for row, (index, upper) in enumerate(zip(once, before)):
        squares = ((points[:upper] - points[index]) ** 2).sum(axis=1)
        wanted = np.lexsort((np.arange(upper), squares))[:4]
        assert (found[row, : len(wanted)] == wanted).all()
    assert (tree.knn(5, before=np.arange(5000)).compute() == whole.knn(5, predecessor_mode=True)).all()
    assert tree.knn(3, queries=np.empty((0, 3))).shape == (0, 3)
    assert (tree.knn(6000, queries=new[:2]) == whole.knn(6000, queries=new[:2])).all()


def test_a_file_of_the_same_name_is_another_one(client, rng, tmp_path):
    points = rng.random((400, 3))

    def chunks():  # as building has them on the workers
        return client.compute(list(covertreex.dask._source.opened(str(tmp_path)).to_delayed().ravel()))

    np.save(tmp_path / "points.npy", points)
    before = chunks()
    assert (before[0].result() == points).all()
    np.save(tmp_path / "points.npy", points + 1)
    after = chunks()
    assert (after[0].result() == points + 1).all()
    assert (before[0].result() == points).all()


def test_arguments_that_are_wrong_are_named(client, rng, tmp_path):
    points = rng.random((300, 2))
    tree = covertreex.dask.cover_tree(points, client=client, n_partitions=2)
    process = covertreex.dask.cover_tree(points, client=client, n_partitions=2, kernel=RBF(), n_inducing=5)
    for call, error, words in [
        (lambda: tree.knn("3"), TypeError, "k: expected an integer"),
        (lambda: tree.knn(0), ValueError, "k: expected at least 1"),
        (lambda: tree.knn(3, queries="abc"), TypeError, "queries: expected real numbers"),
        (lambda: tree.knn(3, queries=[[0.0], [0.0, 1.0]]), ValueError, "queries: expected an array"),
        (lambda: tree.knn(3, queries=[[np.nan, 0.0]]), ValueError, r"queries\[0, 0\]: expected"),
        (lambda: tree.knn(3, queries=[[0.0, 0.0, 0.0]]), ValueError, "queries: expected 2 columns"),
        (lambda: tree.knn(3, queries=[300]), IndexError, r"queries\[0\]: expected 0 to 299"),
        (lambda: tree.knn(3, queries=[5], before=["a"]), TypeError, "before: expected integers"),
        (lambda: tree.radius("0.1", queries=points), TypeError, "r: expected a number"),
        (lambda: tree.radius(np.nan, queries=points), ValueError, "r: expected a number from 0 up"),
        (lambda: tree.save(b"folder"), TypeError, "path: expected a path"),
        (lambda: tree.refit(RBF()), ValueError, "kernel: this tree is Euclidean"),
        (lambda: process.refit(RBF), TypeError, "kernel: expected one of covertreex.kernels, got the class RBF"),
        (lambda: process.refit(RBF(), jitter="a"), TypeError, "jitter: expected a number"),
    ]:
        with pytest.raises(error, match="^" + words):
            call()
    assert tree.knn(3, queries=[]).shape == (0, 3)


def test_within_a_radius(client, rng):
    points, new = (rng.integers(0, 9, (4000, 3)) * 0.1).astype(np.float32), rng.random((500, 3))
    tree, whole = covertreex.dask.cover_tree(points, client=client, n_partitions=5), cover_tree(points)
    for queries in (new, rng.integers(0, 4000, 200), new[:0]):
        found, wanted = (t.radius(0.17, queries=queries, return_distances=True) for t in (tree, whole))
        for name in ("offsets", "indices", "distances"):
            assert (getattr(found, name) == getattr(wanted, name)).all(), name
        counts = tree.radius(0.17, queries=queries, count_only=True)
        assert (counts == whole.radius(0.17, queries=queries, count_only=True)).all()


@pytest.mark.parametrize("kernel", [RBF(), Matern52(lengthscale=[0.5, 1.0, 2.0])], ids=str)
def test_residual_correlation(client, rng, kernel, tmp_path):
    points, new = rng.standard_normal((3000, 3)), rng.standard_normal((150, 3))
    tree = covertreex.dask.cover_tree(chunked(points, 800), client=client, kernel=kernel, n_inducing=50, n_partitions=4)
    whole = cover_tree(points, kernel=kernel, inducing_count=50)
    assert tree.metric == "residual_correlation"

    def same():
        for options in ({"predecessor_mode": True}, {"exclude_self": True}):
            found = tree.knn(7, return_distances=True, **options)
            for one, other in zip(found, whole.knn(7, return_distances=True, **options)):
                assert (one.compute() == other).all()
        assert (tree.knn(7, queries=new) == whole.knn(7, queries=new)).all()
        before = rng.integers(0, 3000, 150)
        assert (tree.knn(7, queries=new, before=before) == whole.knn(7, queries=new, before=before)).all()

    same()
    sizes = tree.partition_sizes
    kernel = Matern52(lengthscale=0.7, variance=2.0)
    assert tree.refit(kernel) is tree
    whole = whole.with_kernel(kernel)
    assert (tree.partition_sizes == sizes).all()
    same()
    tree.save(tmp_path / "saved")
    tree = covertreex.dask.load(tmp_path / "saved", client=client)
    same()


@pytest.mark.parametrize("ending", ["npy", "parquet"])
def test_points_in_files(client, rng, tmp_path, ending):
    points = rng.standard_normal((3000, 3)).astype(np.float32)
    for number, start in enumerate(range(0, 3000, 1100)):
        part = points[start : start + 1100]
        if ending == "npy":
            np.save(tmp_path / f"{number:03d}.npy", part)
        else:
            parquet, table = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow").table
            parquet.write_table(
                table({name: part[:, i] for i, name in enumerate("xyz")}), tmp_path / f"{number}.parquet"
            )
    tree = covertreex.dask.cover_tree(tmp_path, client=client)
    assert tree.n_partitions == 3
    assert (tree.knn(4).compute() == cover_tree(points).knn(4)).all()


@pytest.fixture
def parts(tmp_path):
    """Write the parts of an array to files of a folder, under names that sort otherwise than their numbers."""
    parquet, table = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow").table

    def written(points, names, **columns):
        folder = tmp_path / "points"
        folder.mkdir()
        for name, part in zip(names, np.array_split(points, len(names))):
            if name.endswith(".npy"):
                np.save(folder / name, part)
            else:
                parquet.write_table(table({"x": part[:, 0], "y": part[:, 1], **columns}), folder / name)
        return folder

    return written


@pytest.mark.parametrize(
    "names",
    [
        [f"{number}.npy" for number in range(1, 13)],
        [f"part.{number}.parquet" for number in range(12)],
        [f"part-{number:02d}-a{7 - number % 3}.parquet" for number in range(12)],
        ["a9-2.npy", "a9-10.npy", "a10-1.npy", "b1.npy"],
    ],
)
def test_parts_are_read_in_the_order_of_their_numbers(client, parts, names):
    points = np.random.default_rng(0).standard_normal((40, 2))
    folder = parts(points, names)
    (folder / "_SUCCESS").write_text("")
    (folder / ".hidden.npy").write_text("")
    assert (_source.opened(folder).compute() == points).all()


def test_parts_that_dask_writes(client, tmp_path):
    points = np.random.default_rng(0).standard_normal((24, 2))
    da.to_npy_stack(str(tmp_path / "stack"), chunked(points, 2))
    assert (_source.opened(tmp_path / "stack").compute() == points).all()


def test_metadata_decides_the_order_of_parts(parts):
    parquet = pytest.importorskip("pyarrow.parquet")
    points = np.random.default_rng(0).standard_normal((12, 2))
    names = ["c.parquet", "a.parquet", "b.parquet"]
    folder = parts(points, names)
    known = [parquet.read_metadata(folder / name) for name in names]
    for name, one in zip(names, known):
        one.set_file_path(name)
    for one in known[1:]:
        known[0].append_row_groups(one)
    known[0].write_metadata_file(str(folder / "_metadata"))
    assert (_source.opened(folder).compute() == points).all()
    (folder / "d.parquet").write_bytes((folder / "a.parquet").read_bytes())
    with pytest.raises(ValueError, match=r"_metadata does not list d\.parquet"):
        _source.opened(folder)


def test_an_index_and_lists_in_parts(parts, caplog):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    points = np.random.default_rng(0).standard_normal((12, 2)).astype(np.float32)
    folder = parts(points, ["1.parquet", "2.parquet"], __index_level_0__=np.arange(6))
    with caplog.at_level("INFO", "covertreex"):
        assert (_source.opened(folder).compute() == points).all()
    assert "in this order: 1.parquet, 2.parquet; columns x, y; left out __index_level_0__; 12 rows" in caplog.text
    for number, part in enumerate((points[:5], points[:0], points[5:])):
        lists = pyarrow.array(part.tolist(), pyarrow.list_(pyarrow.float32()))
        parquet.write_table(pyarrow.table({"embedding": lists}), folder / f"{number}.parquet")
    opened = _source.opened(folder)
    assert opened.dtype == np.float32
    assert (opened.compute() == points).all()


def test_parts_that_do_not_fit_are_named(parts):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    points = np.random.default_rng(0).standard_normal((12, 2))
    folder = parts(points, ["1.parquet", "2.parquet"])

    def second(**columns):
        parquet.write_table(pyarrow.table(columns), folder / "2.parquet")

    second(y=points[6:, 1], x=points[6:, 0])  # the same columns in another order
    assert (_source.opened(folder).compute() == points).all()
    for columns in ({"x": [1.0]}, {"x": [1.0], "z": [2.0]}, {"x": [1.0], "y": [2.0], "z": [3.0]}):
        second(**columns)
        with pytest.raises(ValueError, match=r"2.parquet has columns x.*, expected x, y, as in 1.parquet"):
            _source.opened(folder)
    second(x=[1.0], y=["a"])
    with pytest.raises(ValueError, match=r"2.parquet: cannot tell which columns are coordinates; give files"):
        _source.opened(folder)
    second(x=[1.0, 2.0], y=[2.0, np.nan])
    with pytest.raises(ValueError, match=r"2.parquet: row 1, column 'y': expected a finite number, got nan"):
        _source.opened(folder).compute()
    (folder / "2.parquet").unlink()
    np.save(folder / "2.npy", [[1.0, np.inf]])
    with pytest.raises(ValueError, match=r"2.npy: row 0, column 1: expected a finite number, got inf"):
        _source.opened(folder).compute()
    (folder / "2.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"2.npy: "):
        _source.opened(folder)


def test_saved_and_loaded(client, rng, tmp_path):
    points = rng.standard_normal((2000, 2))
    tree = covertreex.dask.cover_tree(points, client=client, n_partitions=5)
    tree.save(tmp_path / "tree")
    again = covertreex.dask.load(tmp_path / "tree", client=client)
    assert (again.knn(3).compute() == cover_tree(points).knn(3)).all()
    assert repr(again) == repr(tree)
    assert (again.low == tree.low).all()


class Killed(WorkerPlugin):
    """Kills the worker that begins a task of some kind, once."""

    name = "killed"

    def __init__(self, task, mark):
        self.task, self.mark = task, mark

    def setup(self, worker):
        self.worker = worker

    def transition(self, key, start, finish, **options):
        if finish == "executing" and str(key).startswith(self.task) and not os.path.exists(self.mark):
            with open(self.mark, "w") as file:
                file.write(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("task", "kernel"),
    [("split", None), ("begin", None), ("answer", None), ("receive", RBF()), ("collect", None), ("build", RBF())],
)
def test_a_worker_that_is_killed_costs_time_alone(rng, tmp_path, task, kernel):
    points = rng.standard_normal((2500, 3))
    options = {} if kernel is None else {"kernel": kernel, "n_inducing": 30}
    mark = tmp_path / "killed"
    # A cluster for each: its nanny does not always make another worker in the place of one that was killed.
    with LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        client.register_plugin(Killed(f"covertree-{task}-", str(mark)))
        tree = covertreex.dask.cover_tree(chunked(points, 500), client=client, n_partitions=6, **options)
        found = tree.knn(5, exclude_self=True).compute()
    assert mark.exists()
    whole = residual_tree(points, **options) if options else cover_tree(points)
    assert (found == whole.knn(5, exclude_self=True)).all()


@pytest.mark.parametrize("what", [{"k": 4}, {"radius": 0.15}], ids=["nearest", "within"])
def test_a_round_can_be_repeated(rng, monkeypatch, what):
    """Dask may run a task again, and a value that was sent once may be sent again."""
    monkeypatch.setattr(_rounds, "threads", lambda: 1)
    points, new = rng.random((900, 3)), rng.random((300, 3))
    parts, layout = in_partitions(points, 6, cover_tree)
    groups = [{number: parts[number] for number in some} for some in ((0, 1, 2), (3, 4), (5,))]
    where = _rounds.known(layout, np.array([0, 0, 0, 1, 1, 2]))
    search = _rounds.Search(np.dtype(np.float64), predecessors=False, exclude_self=False, **what)

    def end(asking, repeat):
        """All rounds, each of them twice, the first time for nothing."""
        while asking.there:
            for _ in range(1 + repeat):
                answered = {
                    other: _rounds.answer(groups[other], {1: _rounds.question(asking, other)}, search)[1]
                    for other in _rounds.targets(asking)
                }
                further = _rounds.receive(groups[1], asking, answered, where, search)
            asking = further
        return _rounds.found(asking, search), _rounds.traffic(asking)

    for begin in (
        lambda: _rounds.begin(groups[1], None, None, where, search),
        lambda: _rounds.ask(groups[1], [(new[:200], None), (new[200:], None)], None, where, search),
    ):
        asking, sent = begin(), pickle.dumps(begin())
        found, traffic = end(asking, repeat=False)
        for again in (asking, pickle.loads(sent)):
            repeated, other = end(again, repeat=True)
            assert other == traffic
            for (rows, one), (wanted, two) in zip(repeated, found):
                assert (rows == wanted).all()
                assert all((a == b).all() for a, b in zip(one, two))


class Counted(SchedulerPlugin):
    """Counts the tasks of a cluster, by the phase that is in their names."""

    name = "counted"

    def __init__(self):
        self.done = Counter()

    def transition(self, key, start, finish, *arguments, **options):
        if start == "processing" and finish == "memory":
            self.done[key_split(key)] += 1


def test_the_number_of_partitions_does_not_matter_to_the_number_of_tasks(rng):
    points = rng.standard_normal((4000, 3))
    whole, totals = cover_tree(points).knn(5), []
    with LocalCluster(n_workers=2, processes=False, threads_per_worker=1, dashboard_address=":0") as cluster:
        counter = Counted()
        cluster.scheduler.add_plugin(counter)
        with Client(cluster) as client:
            for n_partitions in (2, 40):
                counter.done.clear()
                tree = covertreex.dask.cover_tree(chunked(points, 500), client=client, n_partitions=n_partitions)
                assert (tree.knn(5).compute() == whole).all()
                rounds = tree.last_search.rounds
                done = {phase.removeprefix("covertree-"): count for phase, count in counter.done.items()}
                assert [done[phase] for phase in ("split", "build", "begin")] == [8, 2, 2]
                for phase in ("answer", "receive"):
                    assert 2 <= done[phase] <= 2 * rounds
                # Questions and answers of both workers are five tasks each.
                totals.append(sum(done.values()) - 10 * rounds)
    assert totals[1] <= totals[0] + 10


@pytest.mark.parametrize("kernel", [None, RBF()], ids=["Euclidean", "residual"])
def test_columns_that_travel_with_points_in_another_order(client, rng, kernel, tmp_path):
    """What a model of the partitions needs: values of the points, and dataset indices that are not the rows."""
    rows, n = rng.standard_normal((900, 5)), 900
    order = Permutation(n, seed=7)
    chunks = Chunks(client, chunked(rows, 200), dim=3, dtype=np.dtype(np.float64), order=order)
    common = None if kernel is None else chunks.process(kernel, chunks.inducing(20, None, 3), None)
    tree = chunks.tree(common, 5, _tasks.Made({}))
    given = rows[order.inverse(np.arange(n))]
    whole = cover_tree(given[:, :3])
    if kernel is not None:
        whole = residual_tree(given[:, :3], kernel=kernel, n_inducing=20, seed=3)
    assert tree.dim == 3
    for options in ({"exclude_self": True}, {"predecessor_mode": True}):
        assert (tree.knn(6, **options).compute() == whole.knn(6, **options)).all()
    if kernel is not None:
        tree.refit(Matern52())
    parts = [part for group in client.gather(tree._groups.futures) for part in group.values()]
    assert sum(map(len, parts)) == n
    for part in parts:
        assert (part.points() == given[part.indices, :3]).all()
        assert (part.values == given[part.indices, 3:]).all()


def test_bad_input_is_refused(client, rng):
    points = rng.random((100, 3))
    bad = points.copy()
    bad[42, 1] = np.inf
    build = covertreex.dask.cover_tree
    with pytest.raises(ValueError, match=r"points\[42, 1\]"):
        build(chunked(bad, 30), client=client)
    with pytest.raises(ValueError, match="points"):
        build(points[:0], client=client)
    with pytest.raises(ValueError, match="dimensions"):
        build(points[:, 0], client=client)
    with pytest.raises(TypeError, match="points"):
        build(points.astype(complex), client=client)
    with pytest.raises(TypeError, match="points"):
        build([1, 2, 3], client=client)
    with pytest.raises(FileNotFoundError, match="folder"):
        build("no such folder", client=client)
    with pytest.raises(ValueError, match="n_partitions"):
        build(points, client=client, n_partitions=101)
    with pytest.raises(TypeError, match="kernel"):
        build(points, client=client, kernel=lambda a, b: a @ b.T)
    with pytest.raises(ValueError, match="kernel"):
        build(points, client=client, jitter=1e-4)
    tree = build(points, client=client)
    with pytest.raises(ValueError, match="k:"):
        tree.knn(0)
    with pytest.raises(ValueError, match="columns"):
        tree.knn(1, queries=points[:, :2])
    with pytest.raises(ValueError, match=r"queries\[42, 1\]"):
        tree.knn(1, queries=bad)
    with pytest.raises(IndexError, match=r"queries\[1\]"):
        tree.knn(1, queries=[0, 100])
    with pytest.raises(ValueError, match="before"):
        tree.knn(1, queries=points, before=[1])
    with pytest.raises(ValueError, match="before"):
        tree.knn(1, queries=chunked(points, 30), before=[1])
    with pytest.raises(ValueError, match="predecessor_mode"):
        tree.knn(1, queries=points, predecessor_mode=True)
    with pytest.raises(ValueError, match="exclude_self"):
        tree.knn(1, queries=points, exclude_self=True)
    with pytest.raises(ValueError, match="r:"):
        tree.radius(-1.0, queries=points)
    with pytest.raises(ValueError, match="kernel"):
        tree.refit(RBF())


def _namespaces_are_possible():
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    tried = subprocess.run(["ip", "netns", "add", "covertree-try"], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", "covertree-try"], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.fixture
def machines():
    """Two network namespaces with addresses of their own, and the address of this one beside them."""

    def ip(*arguments):
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    names = ["covertree-1", "covertree-2"]
    try:
        ip("link", "add", "covertree-br", "type", "bridge")
        ip("addr", "add", "10.213.7.1/24", "dev", "covertree-br")
        ip("link", "set", "covertree-br", "up")
        for number, name in enumerate(names, 2):
            ip("netns", "add", name)
            ip("link", "add", f"ct-{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", f"ct-{number}", "master", "covertree-br", "up")
            ip("-n", name, "addr", "add", f"10.213.7.{number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield "10.213.7.1", {name: f"10.213.7.{number}" for number, name in enumerate(names, 2)}
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", "covertree-br"], capture_output=True, check=False)


@pytest.mark.skipif(not _namespaces_are_possible(), reason="needs root and network namespaces")
def test_machines_with_addresses_of_their_own(rng, machines):
    here, there = machines
    points = rng.standard_normal((3000, 3))
    cluster = LocalCluster(n_workers=0, host=here, dashboard_address=":0")
    command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--nthreads", "1"]
    workers = [
        subprocess.Popen(
            ["ip", "netns", "exec", name, *command, "--host", address, "--no-dashboard"], stderr=subprocess.DEVNULL
        )
        for name, address in there.items()
    ]
    try:
        with cluster, Client(cluster) as client:
            client.wait_for_workers(2, timeout=60)
            tree = covertreex.dask.cover_tree(chunked(points, 500), client=client, n_partitions=4)
            hosts = {address.split("//")[1].split(":")[0] for address in client.scheduler_info(n_workers=-1)["workers"]}
            assert hosts == set(there.values())
            assert (tree.knn(5).compute() == cover_tree(points).knn(5)).all()
            assert tree.last_search.bytes_sent > 0
    finally:
        for worker in workers:
            worker.terminate()
        deadline = time.monotonic() + 10
        for worker in workers:
            try:
                worker.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()


def test_relative_paths_are_those_of_the_client(client, rng, tmp_path, monkeypatch):
    points = rng.standard_normal((900, 3))
    (tmp_path / "points").mkdir()
    np.save(tmp_path / "points" / "0.npy", points)
    monkeypatch.chdir(tmp_path)  # workers stay where they were started
    tree = covertreex.dask.cover_tree("points", client=client, n_partitions=3)
    tree.save("tree")
    assert "partitions.covertree" in os.listdir(tmp_path / "tree")
    again = covertreex.dask.load("tree", client=client)
    assert (again.knn(3).compute() == cover_tree(points).knn(3)).all()


@pytest.mark.parametrize("kernel", [None, RBF()], ids=["Euclidean", "residual"])
def test_damaged_folders_are_errors(client, rng, tmp_path, kernel):
    points = rng.standard_normal((120, 3))
    options = {} if kernel is None else {"kernel": kernel, "n_inducing": 10}
    for name, some in (("tree", points), ("other", points + 1)):
        covertreex.dask.cover_tree(some, client=client, n_partitions=2, **options).save(tmp_path / name)
    assert len(os.listdir(tmp_path / "tree")) == (3 if kernel is None else 4)
    for label, damage in folder_damage.damages(tmp_path / "tree", tmp_path / "other", flips=9):
        shutil.copytree(tmp_path / "tree", tmp_path / "copy")
        damage(tmp_path / "copy")
        with pytest.raises((CoverTreeError, OSError), match="path: "):
            covertreex.dask.load(tmp_path / "copy", client=client).knn(3, queries=points[:20])
            raise AssertionError(label)
        shutil.rmtree(tmp_path / "copy")
    again = covertreex.dask.load(tmp_path / "tree", client=client)
    whole = residual_tree(points, **options) if options else cover_tree(points)
    assert (again.knn(3).compute() == whole.knn(3)).all()


def test_a_save_that_fails_leaves_the_old_tree(client, rng, tmp_path, monkeypatch):
    points, folder = rng.standard_normal((900, 3)), tmp_path / "tree"
    old = covertreex.dask.cover_tree(points, client=client, n_partitions=3)
    new = covertreex.dask.cover_tree(points[:500], client=client, n_partitions=4)
    old.save(folder)
    before = sorted(os.listdir(folder))

    def astray(folder, tag, number):
        return partition_path(folder if number < 3 else folder / "no such folder", tag, number)

    with monkeypatch.context() as patched:
        patched.setattr(covertreex.dask._tree, "partition_path", astray)
        with pytest.raises(FileNotFoundError):
            new.save(folder)
    with filling(folder, replace=True), pytest.raises(FileExistsError, match="another process"):
        new.save(folder)
    assert sorted(os.listdir(folder)) == before
    opened, loaded = covertreex.dask.load(folder, client=client), covertreex.load(folder)
    assert (opened.knn(3).compute() == cover_tree(points).knn(3)).all()
    new.save(folder)
    assert len(os.listdir(folder)) == 5
    assert (covertreex.dask.load(folder, client=client).knn(3).compute() == cover_tree(points[:500]).knn(3)).all()
    # Workers keep the files that they have mapped. A file that is opened later is missing, and never of another tree.
    assert (opened.knn(3).compute() == cover_tree(points).knn(3)).all()
    with pytest.raises(CoverTreeError, match="another tree"):
        loaded.knn(3)


def test_a_folder_is_opened_with_a_cluster_and_without(client, rng, tmp_path):
    points = rng.standard_normal((900, 3))
    wanted = cover_tree(points).knn(4)
    covertreex.dask.cover_tree(points, client=client, n_partitions=3).save(tmp_path / "saved")
    assert (covertreex.load(tmp_path / "saved", verify=True).knn(4) == wanted).all()
    cover_tree(points, folder=tmp_path / "built", partition_size=200)
    assert (covertreex.dask.load(tmp_path / "built", client=client).knn(4).compute() == wanted).all()
    residual = covertreex.dask.cover_tree(points, client=client, n_partitions=3, kernel=RBF(), n_inducing=20)
    residual.save(tmp_path / "residual")
    with pytest.raises(CoverTreeError, match="not Euclidean"):
        covertreex.load(tmp_path / "residual")
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError if path.name == "nowhere" else IsADirectoryError):
            covertreex.dask.load(path, client=client)


def test_limits_and_queries_that_float32_does_not_hold(client, rng):
    points = (rng.random((3000, 2)) * 40 + [4e6, 5e5]).astype(np.float32)
    new = points[rng.integers(0, 3000, 200)] + 0.2 * rng.standard_normal((200, 2))
    tree, whole = covertreex.dask.cover_tree(points, client=client, n_partitions=4), cover_tree(points)
    indices, distances = whole.knn(5, queries=new, return_distances=True)
    assert (indices != whole.knn(5, queries=new.astype(np.float32))).any()
    for queries in (new, chunked(new, 70)):
        found = tree.knn(5, queries=queries, return_distances=True)
        assert found[1].dtype == np.float32
        for one, other in zip(found, (indices, distances)):
            assert (np.asarray(one) == other).all()
    for row in range(0, 200, 40):
        lists = tree.radius(distances[row, -1], queries=new[row : row + 1], return_distances=True)
        assert lists.indices.tolist() == indices[row].tolist()
        assert (lists.distances == distances[row]).all()


def test_the_order_in_space_without_inducing_points(client, rng):
    points = rng.random((2500, 2)) * 10.0 ** rng.integers(-1, 4, (2500, 1))
    for kernel in (RBF(0.5), Matern52([0.2, 0.7])):
        tree = covertreex.dask.cover_tree(points, kernel=kernel, n_inducing=0, client=client, n_partitions=4)
        whole = cover_tree(points, kernel=kernel, inducing_count=0)
        for options in ({"predecessor_mode": True}, {"exclude_self": True}, {"queries": rng.random((50, 2)) * 100}):
            for one, other in zip(
                tree.knn(5, return_distances=True, **options), whole.knn(5, return_distances=True, **options)
            ):
                assert (np.asarray(one) == other).all()
