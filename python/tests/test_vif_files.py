"""Files, pickles and copies of VIF models."""

import copy
import pickle

import numpy as np
import pytest
from file_reader import read, write
from vif_models import COORDS, NOISE, N, Y, every_kernel, make

import covertreex
from covertreex import CoverTreeError
from covertreex.kernels import Matern32
from covertreex.vecchia import VIF

NEW = np.random.default_rng(35).random((20, 2))
OURS = Matern32((0.2, 0.5), 1.7)


def uneven(a, b):
    return np.exp(0.1 * (a[:, 0, None] + b[None, :, 0])) * OURS(a, b)


def uneven_slopes(a, b):
    return (0.1 * (a[:, 0, None] + b[None, :, 0]) * uneven(a, b))[None]


def same(one, other):
    """All that a model gives is the same to the bit."""
    assert repr(one) == repr(other)
    for name in ("order", "neighbors", "inducing_points", "noise", "v_matrix", "log_determinant"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.neighbors.dtype == other.neighbors.dtype and one.neighbors.flags.writeable is False
    for part, again in zip(one.factor(), other.factor()):
        assert (part != again).sum() == 0
    np.testing.assert_array_equal(one.log_likelihood(Y), other.log_likelihood(Y))
    for part, again in zip(
        one.predict(NEW, Y, return_var=True, latent=True), other.predict(NEW, Y, return_var=True, latent=True)
    ):
        np.testing.assert_array_equal(part, again)
    np.testing.assert_array_equal(one.sample(2, seed=3), other.sample(2, seed=3))


@every_kernel
@pytest.mark.parametrize("mmap", [True, False])
def test_a_model_comes_back_as_it_was(tmp_path, kernel, mmap):
    model = make(kernel)
    model.save(tmp_path / "model.ct")
    again = covertreex.load(tmp_path / "model.ct", mmap=mmap)
    assert isinstance(again, VIF) and again.kernel == kernel
    same(again, model)
    for one, other in zip(*(each.log_likelihood(Y, eval_gradient=True) for each in (again, model))):
        np.testing.assert_array_equal(one, other)
    moved = {"kernel": type(kernel)(0.4, 0.9), "noise": 0.2}
    same(again.with_parameters(**moved), model.with_parameters(**moved))
    same(again.refit(**moved), model.refit(**moved))


@pytest.mark.parametrize(
    "options",
    [
        {"noise": NOISE}, {"n_inducing": 0}, {"n_neighbors": 0}, {"n_inducing": 0, "n_neighbors": 0},
        {"n_neighbors": N, "n_inducing": np.int32(5), "seed": np.int64(4), "jitter": np.float32(1e-4)},
        {name: np.array(one) for name, one in
         {"n_neighbors": 4, "n_inducing": 5, "seed": 4, "jitter": 1e-4, "noise": 0.2}.items()},
        {"neighbors": "euclidean", "ordering": "random"},
        {"ordering": np.arange(N)[::-1], "inducing_points": COORDS[:4], "n_inducing": None},
        {"neighbors": np.full((N, 3), -1), "n_neighbors": 4},
        {"inducing_points": "kmeans++"},
    ],
    ids=str,
)  # fmt: skip
def test_choices_come_back(tmp_path, options):
    model = make(OURS, **{"noise": 0.1, **options})
    model.save(tmp_path / "model.ct")
    for again in (covertreex.load(tmp_path / "model.ct"), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        same(again, model)
        same(again.refit(kernel=Matern32(0.4)), model.refit(kernel=Matern32(0.4)))


def test_a_kernel_of_the_caller(tmp_path):
    model = make(uneven, kernel_gradient=uneven_slopes)
    model.save(tmp_path / "model.ct")
    again = covertreex.load(tmp_path / "model.ct", kernel=uneven, kernel_gradient=uneven_slopes)
    same(again, model)
    for one in (again, pickle.loads(pickle.dumps(model))):
        for part, other in zip(*(each.log_likelihood(Y, eval_gradient=True) for each in (one, model))):
            np.testing.assert_array_equal(part, other)
    with pytest.raises(ValueError, match=r"^kernel: the file was saved with the caller's kernel"):
        covertreex.load(tmp_path / "model.ct")
    make(OURS).save(tmp_path / "other.ct")
    with pytest.raises(ValueError, match=r"^kernel: the file has a kernel of the library"):
        covertreex.load(tmp_path / "other.ct", kernel=uneven)


def test_points_of_a_file(tmp_path):
    make(OURS).save(tmp_path / "model.ct")
    same(covertreex.load(tmp_path / "model.ct", points=COORDS), make(OURS))
    with pytest.raises(CoverTreeError, match=r"^points: the file was saved from other points"):
        covertreex.load(tmp_path / "model.ct", points=COORDS[::-1])


def test_a_closed_model(tmp_path):
    with make(OURS) as model:
        model.predict(NEW, Y)
    assert "_search" not in vars(model)  # which has the features once more
    for use in (
        lambda: model.log_likelihood(Y), lambda: model.predict(NEW, Y), lambda: model.save(tmp_path / "model.ct"),
        lambda: pickle.dumps(model), lambda: model.with_parameters(noise=0.2), model.factor, model.refit, model.sample,
        lambda: model.solve(Y), lambda: model.trend(Y, COORDS), lambda: model.sample(y=Y[:, 0], coords=NEW),
        lambda: model.predict(NEW, Y, return_cov=True), lambda: model.v_matrix, lambda: model.log_determinant,
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"^model: is closed"):
            use()
    assert not list(tmp_path.iterdir())


def changed(path, name, change):
    """A file whose section was changed, with right checksums."""
    file = read(path.read_bytes())
    file.sections[name] = change(file.sections[name])
    path.write_bytes(write(file))


def put(place, value):
    def change(array):
        array = array.copy()
        array[place] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("settings", put(0, N - 1)), ("settings", put(1, 0)), ("settings", put(2, 8)), ("settings", put(3, 9)),
        ("settings", put(4, N)), ("numbers", put(1, 0.5)), ("points", put((3, 1), np.nan)),
        ("points", put((3, 1), 1e300)), ("noise", put(3, -1)), ("noise", put(3, np.inf)),
        ("inducing_points", put((0, 0), np.inf)), ("positions", put(3, N)), ("positions", put(3, -1)),
        ("order", put(3, N)), ("order", put(3, -1)), ("order", np.zeros_like),
        ("offsets", put(3, -1)), ("offsets", put(3, 10**9)), ("offsets", put(N, 3)), ("neighbors", put(5, N)),
        ("neighbors", put(5, -1)), ("neighbors", np.zeros_like), ("v_matrix", put((0, 0), np.nan)),
        ("weights", put(0, np.nan)), ("weights", lambda weights: weights[:-1]), ("variances", put(0, 0.0)),
        ("innovations", put((0, 0), np.inf)), ("inner.factor", lambda strips: strips[:-8]),
        ("whitening.factor", lambda strips: strips[:-8]), ("covertreex.settings", lambda text: text[:-3]),
    ],
)  # fmt: skip
def test_a_file_that_contradicts_itself_is_refused(tmp_path, name, change):
    make(OURS).save(tmp_path / "model.ct")
    changed(tmp_path / "model.ct", name, change)
    with pytest.raises(CoverTreeError, match=r"^path: "):
        covertreex.load(tmp_path / "model.ct").log_likelihood(Y)


def test_every_damaged_section_is_an_error(tmp_path):
    path = tmp_path / "model.ct"
    make(OURS).save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(CoverTreeError):
            covertreex.load(path).log_likelihood(Y)
