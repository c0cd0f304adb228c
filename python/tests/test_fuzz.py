"""Arguments of every sort for everything public: an answer, or an exception that says what was wrong with them.

`HYPOTHESIS_PROFILE=soak` tries some thousands of each.
"""

import contextlib
import inspect
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import covertreex
from covertreex import CoverTree, CoverTreeError, ResidualTree, VectorStore, indexes, kernels, vecchia

# Exceptions that a caller may get. Anything else is a mistake of ours: an assertion, an attribute that is not there.
TOLD = (
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    MemoryError,
    OSError,
    CoverTreeError,
    OverflowError,
    NotImplementedError,
)

POINTS = np.random.default_rng(0).normal(size=(40, 3))

numbers = st.one_of(
    st.integers(-3, 60),
    st.sampled_from(
        [0, -1, 2**31, 2**63, -(2**63), 10**30, 0.5, 1e300, float("nan"), float("inf"), True, None, "3", b"x", 1j]
    ),
    st.floats(),
)
dtypes = st.sampled_from(["f4", "f8", "f2", "i4", "i8", "u1", "?", "c16", "O", "U3", "M8[s]", ">f8", "f4,f4"])


@st.composite
def arrays(draw):
    """Arrays of all shapes, dtypes and layouts, and other objects."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(
            st.sampled_from([None, "points", object(), {}, [], [[]], [[1, 2], [3]], 7, [None], np.float32(1), ()])
        )
    shape = draw(st.lists(st.integers(0, 5), max_size=3))
    if kind > 3:
        shape = [draw(st.integers(0, 30)), draw(st.sampled_from([3, 3, 3, 2, 1]))]
    scale = draw(st.sampled_from([1, 1, 1e30, 1e-30, 40]))
    array = np.asarray(np.random.default_rng(draw(st.integers(0, 9))).normal(size=shape) * scale)
    if kind < 8:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(TypeError, ValueError):
                array = array.astype(draw(dtypes))
    layout = draw(st.integers(0, 7))
    if layout == 0 and np.ndim(array):
        array = array[::-1]
    elif layout == 1:
        array = np.asfortranarray(array)
    elif layout == 2 and array.size and array.dtype.kind == "f":
        array = array.copy()
        array.flat[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from([np.nan, np.inf]))
    elif layout == 3:
        array = array.tolist()
    elif layout == 4 and isinstance(array, np.ndarray) and array.dtype.kind == "f":
        array = np.ma.masked_array(array)
    return array


anything = st.one_of(arrays(), numbers)


def a_model():
    return ResidualTree(POINTS, kernel=kernels.RBF(1.0), n_inducing=4)


def an_index(kind):
    index = kind(3)
    index.add(vectors=POINTS.astype(np.float32))
    return index


def a_store():
    store = VectorStore(3)
    store.add_batch(range(40), POINTS.astype(np.float32))
    return store


SUBJECTS = {
    "CoverTree": lambda: CoverTree(POINTS),
    "CoverTree, float32": lambda: CoverTree(POINTS.astype(np.float32)),
    "ResidualTree": a_model,
    **{
        kind.__name__: (lambda kind=kind: an_index(kind))
        for kind in (indexes.BruteForce, indexes.KDTree, indexes.LSH, indexes.HNSW)
    },
    "VectorStore": a_store,
}
# They write where the caller says.
LEFT_OUT = {"save", "snapshot", "restore", "open", "close"}


def parameters(function):
    """The names by which arguments go in, and those without which it does not."""
    found = inspect.signature(function).parameters.values()
    named = [
        p
        for p in found
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in ("self", "mmap_mode", "path")
    ]
    return [p.name for p in named], [p.name for p in named if p.default is p.empty]


def try_it(function, data):
    names, needed = parameters(function)
    given_names = needed + data.draw(st.lists(st.sampled_from(names), max_size=3, unique=True)) if names else []
    arguments = {}
    for name in dict.fromkeys(given_names):
        if name in ("threads", "n_threads"):
            arguments[name] = data.draw(st.sampled_from([1, 2, 0, -1, 10**6, "2"]))
        elif name in ("k", "n_neighbors", "m", "dim"):  # whose answer is as large as they say
            arguments[name] = data.draw(st.one_of(st.integers(-2, 50), st.sampled_from([2**62, None, "3", 2.5])))
        else:
            arguments[name] = data.draw(anything)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            function(**arguments)
        except TOLD as error:
            assert str(error), arguments


@pytest.mark.parametrize("name", SUBJECTS)
@given(data=st.data())
def test_methods(name, data):
    subject = SUBJECTS[name]()
    methods = [
        m
        for m in dir(subject)
        if not m.startswith("_") and m not in LEFT_OUT and callable(getattr(type(subject), m, None))
    ]
    for method in data.draw(st.lists(st.sampled_from(methods), min_size=1, max_size=4)):
        function = getattr(subject, method)
        if inspect.ismethod(function) and inspect.ismethod(getattr(type(subject), method)):
            continue  # of the class: they open files
        try_it(function, data)


@given(data=st.data())
def test_functions(data):
    functions = [
        covertreex.cover_tree,
        CoverTree,
        ResidualTree,
        VectorStore,
        vecchia.neighbors,
        vecchia.ordering,
        vecchia.to_nnarray,
        vecchia.from_nnarray,
        vecchia.from_linv,
        vecchia.to_neighbor_info,
        vecchia.from_neighbor_info,
        vecchia.from_csr,
        indexes.BruteForce,
        indexes.KDTree,
        indexes.LSH,
        indexes.HNSW,
        kernels.RBF,
        kernels.Matern32,
        covertreex.set_num_threads,
    ]
    try:
        try_it(data.draw(st.sampled_from(functions)), data)
    finally:
        covertreex.set_num_threads(0)
