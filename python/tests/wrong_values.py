"""Values that are wrong for an argument, by the kind of argument: a name, the value, the error."""

from pathlib import Path

import numpy as np

from covertreex import kernels
from covertreex.kernels import Matern52

X = np.random.default_rng(0).random((60, 2))


class Thing:
    """An object that is nothing of what anybody wants."""

    def __repr__(self):
        return "Thing()"


NO_NUMBER = {
    "a string": ("abc", TypeError),
    "bytes": (b"abc", TypeError),
    "a class": (Thing, TypeError),
    "a class of numbers": (int, TypeError),
    "an object": (Thing(), TypeError),
    "a dict": ({}, TypeError),
    "complex": (1j, TypeError),
}
NONE = {"None": (None, TypeError)}
ROWS = {
    **{name: NO_NUMBER[name] for name in ("bytes", "a class", "an object", "a dict")},
    "strings": ([["a", "b"]], TypeError),
    "complex numbers": ([[1j, 2.0]], TypeError),
    "objects": ([[1.0, None]], TypeError),
    "dates": (np.zeros((2, 2), "datetime64[s]"), TypeError),
    "a set": ({1.0}, TypeError),
    "a generator": ((one for one in [1.0]), TypeError),
    "a number": (3.0, ValueError),
    "rows of different lengths": ([[1.0], [1.0, 2.0]], ValueError),
    "three dimensions": (np.zeros((2, 2, 2)), ValueError),
    "masked": (np.ma.array([[1.0, 2.0]], mask=[[True, False]]), ValueError),
}
ONE_ROW = {"one dimension": ([1.0, 2.0], ValueError)}
POINTS = {
    **ROWS,
    **ONE_ROW,
    "NaN": ([[0.5, np.nan]], ValueError),
    "infinity": ([[np.inf, 0.5]], ValueError),
    "beyond what can be squared": ([[1e300, 0.5]], ValueError),
    "no columns": (np.zeros((3, 0)), ValueError),
}
OTHER_WIDTH = {"other columns": (np.zeros((4, 5)), ValueError)}
NO_ROWS = {"no rows": (np.zeros((0, 2)), ValueError)}
INDICES = {
    **{name: NO_NUMBER[name] for name in ("a string", "bytes", "a class", "an object", "a dict")},
    "floats": ([1.5], TypeError),
    "booleans": ([True, False], TypeError),
    "objects": ([None], TypeError),
    "strings": (["a"], TypeError),
    "two dimensions": ([[0, 1]], ValueError),
    "beyond 64 bits": (np.array([2**64 - 1], np.uint64), ValueError),
}
NO_SLOTS = {"beyond 64 bits": (np.array([2**64 - 1], np.uint64), IndexError), "below 0": ([-1], IndexError)}
OUTSIDE = {"too large": ([99], IndexError), "below 0": ([-1], IndexError)}
INTEGER = {
    **NO_NUMBER,
    "a float": (2.0, TypeError),
    "NaN": (np.nan, TypeError),
    "a boolean": (True, TypeError),
    "a boolean of NumPy": (np.True_, TypeError),
    "a list": ([1], TypeError),
    "an array": (np.array([1, 2]), TypeError),
    "below 0": (-1, ValueError),
    "beyond 64 bits": (2**70, ValueError),
}
SLOT = {**INTEGER, "below 0": (-1, IndexError), "beyond 64 bits": (2**70, IndexError)}
COUNT = {**INTEGER, "0": (0, ValueError)}
RESULTS = {"huge": (2**45, MemoryError), "beyond addresses": (2**62, MemoryError)}
SEED = {**INTEGER, "64 bits and one": (2**64, ValueError)}
THREADS = {**COUNT, "thousands": (5000, ValueError)}
NUMBER = {
    **NO_NUMBER,
    "a string of digits": ("0.5", TypeError),
    "complex of NumPy": (np.complex128(1), TypeError),
    "a boolean": (True, TypeError),
    "a list": ([1.0], TypeError),
    "lists of different lengths": ([[1.0], [1.0, 2.0]], TypeError),
    "an array": (np.ones(1), TypeError),
    "NaN": (np.nan, ValueError),
    "below 0": (-1, ValueError),
    "an integer beyond floats": (10**400, ValueError),
}
CHOICE = {
    "another name": ("foo", ValueError),
    "nothing": ("", ValueError),
    "a number": (3, TypeError),
    "a boolean": (True, TypeError),
    "a class": (str, TypeError),
    "bytes": (b"l2", TypeError),
    "a list": (["l2"], TypeError),
}
NAME = {"another name": ("foo", ValueError), "nothing": ("", ValueError)}
PATH = {
    "a descriptor": (10**6, TypeError),  # of no open file: an error would close it
    "bytes": (b"path", TypeError),
    "a class": (Path, TypeError),
    "a list": (["path"], TypeError),
    "an object": (Thing(), TypeError),
    "nothing": ("", ValueError),
    "a null character": ("a\0b", ValueError),
}
FUNCTION = {"a number": (3, TypeError), "a string": ("print", TypeError), "an object": (Thing(), TypeError)}
KERNEL = {
    "a class of kernels": (Matern52, TypeError),
    "the class of all": (kernels.Kernel, TypeError),
    "a name": ("matern52", TypeError),
    "a number": (3, TypeError),
    "an object": (Thing(), TypeError),
    "another class": (Thing, TypeError),
}
ELEMENTS = {
    "another name": ("foo", TypeError),
    "another type": ("float16", TypeError),
    "a number": (3, TypeError),
    "an object": (Thing(), TypeError),
    "a list": ([1], TypeError),
}
OBJECT = {"a number": (3, TypeError), "an array": (X, TypeError), "an object": (Thing(), TypeError)}


def without(kind, *names):
    return {name: one for name, one in kind.items() if name not in names}


SETS = {
    **without(ROWS, "a number", "three dimensions"),
    "floats": ([[-1.0], [0.0]], TypeError),
    "booleans": ([[False]], TypeError),
    "one dimension": ([-1, 0], ValueError),
    "three dimensions": ([[[-1]]], ValueError),
    "its own": ([[-1], [1]], ValueError),
    "below -1": ([[-1], [-2]], ValueError),
    "beyond 64 bits": (np.array([[2**64 - 1]], np.uint64), ValueError),
}
