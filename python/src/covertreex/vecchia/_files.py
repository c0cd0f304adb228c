"""Files of models."""

from __future__ import annotations

import json
import operator
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _arguments, _calls, _files, kernels
from .._calls import ProgressReport
from .._capi import CoverTreeError, vif
from ..residual._inputs import KernelLike
from ._inputs import KernelGradient
from ._padding import of_csr
from ._search import Search

# The section of a file in which this package keeps its own settings.
_SETTINGS = "covertreex.settings"
#: A choice that was an array, which an attribute of the model has.
GIVEN = {"given": True}

Self = TypeVar("Self", bound="Stored")


class Stored(_calls.Closeable):
    """What a model has to do with files, and copies."""

    _noun = "model"
    _functions: ClassVar = vif
    #: Of a model that was loaded: what is not read yet.
    _file: _files.File
    _width: int

    kernel: KernelLike
    kernel_gradient: KernelGradient | None
    noise: float | NDArray[np.float64]
    n_neighbors: int
    order: NDArray[np.int64]
    inducing_points: NDArray[np.float64]
    _coords: NDArray[np.float64]
    _choices: dict[str, Any]
    _metric: str
    _jitter: float

    @cached_property
    def neighbors(self) -> NDArray[np.int64]:
        """Ranks, (n, k), filled up with -1."""
        self._info()  # the library checks the sets first
        found = self._file.sections("offsets", "neighbors")
        offsets, members = found["offsets"], found["neighbors"]
        sets = np.full((len(offsets) - 1, self._width), -1, np.int64)
        narrow = of_csr(offsets[:-1], np.diff(offsets), members, "neighbors")
        sets[:, : narrow.shape[1]] = narrow
        sets.flags.writeable = False
        return sets

    @cached_property
    def _search(self) -> Search:
        self._info()  # the library checks the order first
        return Search(self._coords[self.order], self.kernel, self._metric, self.inducing_points, self._jitter)

    def close(self) -> None:
        """Free the memory."""
        super().close()
        self.__dict__.pop("_search", None)  # which has features of its own

    def save(self, path: _files.PathLike, *, progress: ProgressReport | None = None) -> None:
        """Write the model to a file, in one step, as :meth:`covertreex.CoverTree.save` does.

        The file has coordinates, order, sets, inducing points, hyperparameters and the factor, so nothing is computed
        anew after loading; responses are not in it. :func:`covertreex.load` opens it; a kernel that is not of
        :mod:`covertreex.kernels` must be given again there. Models can also be pickled, with such a kernel.
        """
        self._save(path, {}, progress)

    def _save(self, path: _files.PathLike, sections: _files.Arrays, progress: ProgressReport | None) -> None:
        """Write the model with further sections."""
        self._call(vif.save, _arguments.path(path), {**self._settings(), **sections}, progress=progress)

    def _settings(self) -> dict[str, NDArray[Any]]:
        settings = {
            "choices": self._choices, "width": self.neighbors.shape[1], "n_neighbors": self.n_neighbors,
            "metric": self._metric, "noise": None if isinstance(self.noise, np.ndarray) else self.noise,
        }  # fmt: skip
        return {_SETTINGS: np.frombuffer(json.dumps(settings, default=_plain).encode(), np.uint8)}

    @classmethod
    def _of_file(
        cls: type[Self],
        file: _files.File,
        kernel: KernelLike | None = None,
        kernel_gradient: KernelGradient | None = None,
    ) -> Self:
        model: Any = cls._blank()
        if kernel is not None:
            _, dim = file.shape("points") or (0, 0)
            model._take_kernel(kernel, kernel_gradient, np.zeros((1, dim)))
        model._adopt(vif.load(file.owner, None if kernel is None else model._callback))
        # The library has checked the settings, and checks the rest before it is used.
        found = file.sections(
            "settings", "numbers", "lengthscale", "points", "order", "noise", "inducing_points", _SETTINGS
        )
        n, dim, _, shape, _ = found["settings"].tolist()
        model._file, model._coords = file, found["points"].reshape(n, dim)
        model.order, model.inducing_points = found["order"], found["inducing_points"].reshape(-1, dim)
        variance, model._jitter, _ = found["numbers"].tolist()
        if kernel is None:
            model._take_kernel(kernels.of_shape(shape, found["lengthscale"], variance), kernel_gradient)
        try:
            settings = json.loads(found[_SETTINGS].tobytes()) if _SETTINGS in found else {}
            model._choices, model._metric = dict(settings["choices"]), str(settings["metric"])
            model.n_neighbors, model._width = int(settings["n_neighbors"]), int(settings["width"])
            noise = settings["noise"]
            model.noise = found["noise"].copy() if noise is None else float(noise)
        except (ValueError, TypeError, KeyError) as error:
            raise CoverTreeError(f"path: section {_SETTINGS!r} is damaged: {error}") from error
        made: Self = model
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        file = _files.File(self._call(vif.encode, self._settings()))
        kernel = None if isinstance(self.kernel, kernels.Stationary) else self.kernel
        return _restored, (type(self), file.bytes, kernel, self.kernel_gradient)


def kept(choice: Any) -> Any:
    """A choice as a model keeps it: GIVEN for an array, and a number of NumPy's, which may be one, as Python's."""
    if isinstance(choice, (np.ndarray, np.generic)):
        return GIVEN if choice.ndim else choice.item()
    return choice


def _plain(value: Any) -> int | float:
    """A number of NumPy's, for JSON."""
    return operator.index(value) if hasattr(value, "__index__") else float(value)


def _restored(kind: Any, data: NDArray[np.uint8], *options: Any) -> Any:
    return kind._of_file(_files.File.copy(data), *options)
