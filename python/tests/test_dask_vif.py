"""VIF models on a Dask cluster: they are those of one machine but for rounding, whatever happens to workers."""

import os
import signal

import numpy as np
import pytest

pytest.importorskip("distributed")

import dask.array as da
from distributed import Client, LocalCluster, WorkerPlugin

import covertreex.dask
from covertreex import vecchia
from covertreex.kernels import RBF, Matern32, Matern52
from covertreex.vecchia import VIF

N = 1500
RANDOM = np.random.default_rng(5)
POINTS = RANDOM.random((N, 2))
Y = np.sin(6 * POINTS[:, 0]) + 0.3 * RANDOM.standard_normal(N)
NEW = RANDOM.random((60, 2))
KERNEL = Matern52((0.3, 0.2), 1.3)


@pytest.fixture(scope="module")
def client():
    """A cluster of two processes."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


def build(client, y=Y, kernel=KERNEL, **options):
    given = {"noise": 0.1, "m": 8, "n_inducing": 40, "n_partitions": 4, **options}
    points = da.from_array(POINTS, chunks=(400, 2))
    return covertreex.dask.vif(points, y, client=client, kernel=kernel, **given)


def one_machine(model, noise=0.1, neighbors="residual"):
    return VIF(
        POINTS, kernel=model.kernel, noise=noise, n_neighbors=model.n_neighbors, neighbors=neighbors,
        inducing_points=model.inducing_points, ordering=model.order.compute(),
    )  # fmt: skip


def near(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10 * np.abs(wanted).max())


def check(model, whole, y):
    value, gradient = model.log_likelihood(eval_gradient=True)
    wanted, slopes = whole.log_likelihood(y, eval_gradient=True)
    near(value, wanted)
    near(gradient, slopes)
    mean, variance = model.predict(NEW, return_var=True, latent=True)
    wanted, spread = whole.predict(NEW, y, return_var=True, latent=True)
    near(mean, wanted)
    near(variance, spread)
    assert mean.shape == wanted.shape


@pytest.mark.parametrize("n_partitions", [1, 2, 5])
@pytest.mark.parametrize("ordering", ["random", "natural"])
def test_it_is_the_model_of_one_machine(client, ordering, n_partitions):
    model = build(client, ordering=ordering, n_partitions=n_partitions)
    assert (len(model), model.n_partitions) == (N, n_partitions)
    order = model.order.compute()
    assert np.array_equal(np.sort(order), np.arange(N))
    assert np.array_equal(order, np.arange(N)) == (ordering == "natural")
    check(model, one_machine(model), Y)


@pytest.mark.parametrize("neighbors", ["residual", "euclidean"])
@pytest.mark.parametrize("kernel", [RBF(0.2), Matern32((0.3, 0.1), 0.7)], ids=["rbf", "matern32"])
def test_sets_of_either_metric_and_several_responses(client, kernel, neighbors):
    y = np.stack([Y, RANDOM.standard_normal(N)], axis=1)
    model = build(client, y, kernel, neighbors=neighbors)
    check(model, one_machine(model, neighbors=neighbors), y)


@pytest.mark.parametrize(("m", "n_inducing"), [(0, 30), (6, 0), (1, 1)])
def test_other_sizes(client, m, n_inducing):
    model = build(client, m=m, n_inducing=n_inducing)
    check(model, one_machine(model), Y)


@pytest.mark.parametrize("where", ["kept", "not kept", "in files"])
def test_noise_of_each_point_and_other_hyperparameters(client, where, tmp_path):
    noise = RANDOM.uniform(0.05, 0.2, N)
    how = {"folder": tmp_path / "files"} if where == "in files" else {"keep": where == "kept"}
    model = build(client, da.from_array(Y, chunks=333), noise=noise, **how)
    whole = one_machine(model, noise)
    check(model, whole, Y)
    other = model.with_parameters(kernel=Matern52((0.4, 0.3), 2.0), noise=3.0)
    check(other, whole.with_parameters(kernel=Matern52((0.4, 0.3), 2.0), noise=3 * noise), Y)
    check(model, whole, Y)
    again = model.refit(kernel=Matern52((0.4, 0.3), 2.0), noise=0.5)
    check(again, one_machine(again, 0.5 * noise), Y)
    check(model, whole, Y)
    assert not os.listdir(tmp_path / "files" if where == "in files" else tmp_path)
    with pytest.raises(ValueError, match="latent: expected True"):
        model.predict(NEW, return_var=True)
    with pytest.raises(TypeError, match="noise: expected one number"):
        model.with_parameters(noise=noise)


def test_predictions_at_a_dask_array_stay_on_the_workers(client):
    model = build(client)
    mean, variance = model.predict(da.from_array(NEW, chunks=(25, 2)), return_var=True, n_neighbors=12)
    assert isinstance(mean, da.Array) and isinstance(variance, da.Array)
    wanted, spread = one_machine(model).predict(NEW, Y, return_var=True, n_neighbors=12)
    near(mean.compute(), wanted)
    near(variance.compute(), spread)


def test_a_fit_is_that_of_one_machine(client):
    model = build(client, kernel=Matern32(0.5), noise=0.3)
    steps = []
    found = covertreex.dask.fit(model, max_iterations=25, callback=steps.append)
    whole = vecchia.fit(
        POINTS, Y, kernel=Matern32(0.5), noise=0.3, max_iterations=25, n_neighbors=8, ordering=model.order.compute(),
        inducing_points=model.inducing_points,
    )  # fmt: skip
    assert found.stopped == whole.stopped
    assert len(steps) == found.n_iterations + found.n_refits
    near(found.log_likelihood, whole.log_likelihood)
    np.testing.assert_allclose(found.theta, whole.theta, atol=1e-5)
    assert found.model.log_likelihood() == pytest.approx(found.log_likelihood, rel=1e-12)
    with pytest.raises(ValueError, match="model: expected one response, got 2"):
        covertreex.dask.fit(build(client, np.stack([Y, Y], axis=1)))


def test_a_fit_by_the_name_of_a_kernel_starts_from_the_data(client):
    model = build(client)
    with pytest.warns(vecchia.FitWarning, match="has not converged"):
        found = covertreex.dask.fit(model, kernel="matern32", max_iterations=1, refit=False)
    whole = vecchia.fit(POINTS, Y, kernel="matern32", max_iterations=0)
    np.testing.assert_allclose(found.history[0].theta, whole.history[0].theta, rtol=1e-12)


def test_wrong_arguments_are_named(client):
    wrong, infinite = Y.copy(), RANDOM.uniform(0.1, 1, N)
    wrong[700], infinite[900] = np.nan, np.inf
    for options, error, words in [
        ({"kernel": lambda a, b: 0}, TypeError, "kernel: expected one of"),
        ({"y": Y[:-1]}, ValueError, f"y: expected {N} numbers, one for each point, got {N - 1}"),
        ({"y": wrong}, ValueError, r"y\[700\]: expected a finite number"),
        ({"y": np.array(["a"] * N)}, TypeError, "y: expected real numbers"),
        ({"noise": infinite}, ValueError, r"noise\[900\]: expected a finite number"),
        ({"noise": -1.0}, ValueError, "noise: expected a finite number from 0 up"),
        ({"noise": np.ones((N, 2))}, ValueError, "noise: expected one number"),
        ({"m": -1}, ValueError, "m: expected at least 0"),
        ({"ordering": "maxmin"}, ValueError, "ordering: expected"),
        ({"neighbors": "manhattan"}, ValueError, "neighbors: expected"),
        ({"jitter": 1.0}, ValueError, "jitter: expected 0 to 0.01"),
        ({"n_inducing": N + 1}, ValueError, "n_inducing: expected"),
        ({"n_partitions": 0}, ValueError, "n_partitions: expected"),
    ]:
        with pytest.raises(error, match=words):
            build(client, **options)
    model = build(client)
    with pytest.raises(ValueError, match="new: expected 2 columns"):
        model.predict(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="new"):
        model.predict([[np.nan, 0.0]])


def test_equal_points_without_noise_are_named_by_their_rows(client):
    points = POINTS.copy()
    points[1200] = points[300]
    model = covertreex.dask.vif(points, Y, client=client, kernel=KERNEL, m=4, n_inducing=0, ordering="natural")
    with pytest.raises(ValueError, match="noise: expected above 0 for equal points, got 0 for points 300 and 1200"):
        model.log_likelihood()


class Killer(WorkerPlugin):
    """Kills the worker that begins a task of each of some kinds, once."""

    name = "killed"

    def __init__(self, folder, tasks):
        self.folder, self.tasks = folder, tasks

    def setup(self, worker):
        self.worker = worker

    def transition(self, key, start, finish, **_):
        for task in self.tasks if finish == "executing" else ():
            if str(key).startswith(f"covertree-{task}-"):
                try:
                    os.close(os.open(os.path.join(self.folder, task), os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    return
                os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("tasks", [("condition", "add-totals"), ("serve", "add-terms"), ("assemble", "predict")])
def test_workers_that_are_killed_change_nothing(tasks, tmp_path):
    # Three workers, because a nanny does not always replace a killed one.
    with LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        client.register_plugin(Killer(str(tmp_path), tasks))
        model = build(client, n_partitions=5)
        value, gradient = model.log_likelihood(eval_gradient=True)
        mean, whole = model.predict(NEW), one_machine(model)
        assert sorted(os.listdir(tmp_path)) == sorted(tasks)
        wanted, slopes = whole.log_likelihood(Y, eval_gradient=True)
        near(value, wanted)
        near(gradient, slopes)
        near(mean, whole.predict(NEW, Y))
