"""The manifest of a folder of partitions: which files are its tree, and where the points of each lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _files
from .._capi import DTYPE_NUMBERS, DTYPES, CoverTreeError
from .curve import Curve
from .files import SEAL_BYTES, PartitionFile, partition_path, process_path
from .layout import Layout

MANIFEST = "partitions.covertree"
#: Of folders. Files have a version of their own.
VERSION = 1

# The version, the tag, the kind of the partitions' files, and the type of coordinates.
_SETTINGS = "settings"
# Each section's type and axes: d of coordinates, p of partitions, c of cuts between them, s of bytes of a seal.
_SECTIONS = {
    "curve_low": (np.float64, "d"), "curve_high": (np.float64, "d"), "keys": (np.int64, "c"),
    "indices": (np.int64, "c"), "low": (np.float64, "pd"), "high": (np.float64, "pd"), "centers": (np.float64, "pd"),
    "radii": (np.float64, "p"), "sizes": (np.int64, "p"), "first": (np.int64, "p"), "seals": (np.uint8, "ps"),
    "process": (np.uint8, "s"),
}  # fmt: skip

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Manifest:
    """Everything that a folder has of its tree except the partitions themselves.

    It has the seals of its files. So files of another tree, or of another time, are refused.
    """

    tag: str  #: eight hexadecimal digits, in the names of all files
    kind: int  #: of the partitions' files
    dtype: np.dtype[Any]
    layout: Layout  #: without outlines
    seals: list[bytes]  #: of the partitions' files
    process: bytes | None = None  #: the seal of the residual process

    @property
    def n_points(self) -> int:
        """Points of all partitions."""
        return int(self.layout.n_points.sum())

    @property
    def dim(self) -> int:
        """Coordinates of a point."""
        return len(self.layout.curve.low)

    def partition(self, folder: Path, number: int) -> PartitionFile:
        """The file of a partition."""
        size, first = int(self.layout.n_points[number]), int(self.layout.first[number])
        return PartitionFile(
            partition_path(folder, self.tag, number), self.seals[number], self.kind, self.dim, self.dtype, size, first,
            self.n_points,
        )  # fmt: skip

    def process_path(self, folder: Path) -> Path:
        """The file of the residual process."""
        return process_path(folder, self.tag)

    def save(self, folder: Path) -> None:
        """Write it in one step, which makes its files the tree of the folder."""
        layout, curve = self.layout, self.layout.curve
        settings = [VERSION, int(self.tag, 16), self.kind, DTYPE_NUMBERS[self.dtype]]
        sections = {
            _SETTINGS: np.array(settings, np.int64), "curve_low": curve.low, "curve_high": curve.high,
            "keys": curve.keys.view(np.int64), "indices": curve.indices, "low": layout.low, "high": layout.high,
            "centers": layout.centers, "radii": layout.radii, "sizes": layout.n_points, "first": layout.first,
            "seals": np.array([np.frombuffer(seal, np.uint8) for seal in self.seals]),
        }  # fmt: skip
        if self.process is not None:
            sections["process"] = np.frombuffer(self.process, np.uint8)
        _files.save(folder / MANIFEST, sections, None, input_hash=0)

    @classmethod
    def open(cls, folder: Path) -> Manifest:
        """Read it. CoverTreeError if it is damaged or its numbers do not fit each other. Partitions are not opened."""
        path = folder / MANIFEST
        try:
            file = _files.File.open(path, mmap=False, verify=True, progress=None)
        except FileNotFoundError:
            if (folder / "partitions.json").exists():
                raise CoverTreeError(f"path: {folder} is of an older format; build the tree again") from None
            if os.path.isdir(folder):
                raise IsADirectoryError(f"path: {folder} is a folder without a tree in partitions") from None
            raise
        try:
            return cls._of(file)
        except (KeyError, ValueError) as error:
            raise CoverTreeError(
                f"path: {path} is not a manifest of a tree in partitions, or is damaged: {error}"
            ) from error

    @classmethod
    def _of(cls, file: _files.File) -> Manifest:
        found = file.sections(_SETTINGS, *_SECTIONS)
        settings = found[_SETTINGS]
        if file.kind != _files.ARRAYS or settings.dtype != np.int64 or settings.shape != (4,):
            raise ValueError(f"settings: expected 4 numbers of int64, got {settings.dtype} {settings.shape}")
        version, tag, kind, dtype = settings.tolist()
        if version != VERSION:
            raise ValueError(f"it has version {version}; this covertreex reads version {VERSION}")
        if not 0 <= tag < 1 << 32 or kind not in (_files.TREE, _files.RESIDUAL) or dtype not in (1, 2):
            raise ValueError(f"settings: {settings.tolist()} are not possible")
        arrays = _shaped(found, kind == _files.RESIDUAL)
        _check_numbers(arrays)
        curve = Curve(arrays["curve_low"], arrays["curve_high"], arrays["keys"].view(np.uint64), arrays["indices"])
        layout = Layout(
            curve, arrays["low"], arrays["high"], arrays["centers"], arrays["radii"], arrays["sizes"], arrays["first"],
            [None] * len(arrays["sizes"]),
        )  # fmt: skip
        seals = [seal.tobytes() for seal in arrays["seals"]]
        process = arrays["process"].tobytes() if kind == _files.RESIDUAL else None
        return cls(f"{tag:08x}", kind, DTYPES[dtype], layout, seals, process)


def _shaped(found: Arrays, is_residual: bool) -> Arrays:
    """All sections in their shapes. ValueError if these do not fit each other."""
    dim, partitions = found["curve_low"].size, found["sizes"].size
    if not dim or not partitions:
        raise ValueError(f"expected coordinates and partitions, got {dim} and {partitions} of them")
    lengths = {"d": dim, "p": partitions, "c": partitions - 1, "s": SEAL_BYTES}
    arrays = {}
    for name, (dtype, axes) in _SECTIONS.items():
        if name == "process" and not is_residual:
            continue
        array, shape = found[name], tuple(lengths[axis] for axis in axes)
        stored = shape[:1] if shape[-1] == 1 else shape  # as `File.sections` returns it
        if array.dtype != dtype or array.size != np.prod(shape) or (array.size and array.shape != stored):
            raise ValueError(f"{name}: expected {np.dtype(dtype)} of shape {shape}, got {array.dtype} {array.shape}")
        arrays[name] = array.reshape(shape)
    return arrays


def _check_numbers(arrays: Arrays) -> None:
    """Raise ValueError for numbers that no tree has."""
    sizes, first = arrays["sizes"], arrays["first"]
    if sizes.min() < 1 or sizes.max() >= 1 << 31:
        raise ValueError("sizes: expected 1 to 2^31 - 1 points of each partition")
    n_points = int(sizes.sum())
    for name in ("first", "indices"):
        if (arrays[name] < 0).any() or (arrays[name] >= n_points).any():
            raise ValueError(f"{name}: expected 0 to {n_points - 1}")
    if len(np.unique(first)) != len(first) or first.min() != 0:
        raise ValueError("first: expected 0, and each once")
    cuts = list(zip(arrays["keys"].view(np.uint64).tolist(), arrays["indices"].tolist()))
    if any(one >= other for one, other in zip(cuts, cuts[1:])):
        raise ValueError("keys, indices: expected ascending cuts")
    for name in ("curve_low", "curve_high", "low", "high", "centers", "radii"):
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name}: expected finite numbers")
    for low, high in (("curve_low", "curve_high"), ("low", "high")):
        if (arrays[low] > arrays[high]).any():
            raise ValueError(f"{low}: expected no more than {high}")
    if arrays["radii"].min() < 0:
        raise ValueError("radii: expected numbers from 0 up")
