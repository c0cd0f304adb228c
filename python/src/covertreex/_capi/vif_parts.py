"""VIF models in parts: ``covertree_vif_part_*`` of ``covertree_partitions.h``, which may change in any version."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import byref, c_double
from dataclasses import dataclass

import numpy as np

from .calls import How, Unpack, call, made
from .library import lib, read
from .memory import Float64s, Handle, Int64s, Owner, address, matrix
from .structs import VifInfo, VifTerms, VifTotals
from .vif import Process, Sets, new_points, options_of


@dataclass(frozen=True)
class Totals:
    """Sums over the points of a part, or of all parts."""

    n_points: int
    log_determinant: float
    products: Float64s  #: (m, m)
    projections: Float64s  #: (responses, m)

    @classmethod
    def of(cls, parts: Sequence[Totals]) -> Totals:
        """Sums over several parts, in their order."""
        return cls(
            sum(part.n_points for part in parts),
            sum(part.log_determinant for part in parts),
            _added([part.products for part in parts]),
            _added([part.projections for part in parts]),
        )

    def _struct(self) -> VifTotals:
        products, projections = address(self.products), address(self.projections)
        return VifTotals(self.n_points, self.log_determinant, products, projections)


@dataclass(frozen=True)
class Terms:
    """Shares of the value and the gradient of each response, or their sums over all parts."""

    quadratics: Float64s  #: (responses,)
    gradients: Float64s | None  #: (responses, parameters)
    inducing: Float64s | None  #: (responses, m, m)

    @classmethod
    def of(cls, parts: Sequence[Terms]) -> Terms:
        """Sums over several parts, in their order."""
        quadratics = _added([part.quadratics for part in parts])
        gradients = [part.gradients for part in parts if part.gradients is not None]
        inducing = [part.inducing for part in parts if part.inducing is not None]
        return cls(quadratics, _added(gradients) if gradients else None, _added(inducing) if inducing else None)

    def _struct(self) -> VifTerms:
        return VifTerms(address(self.quadratics), address(self.gradients), address(self.inducing))


def _added(arrays: Sequence[Float64s]) -> Float64s:
    total: Float64s = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total


def build(points: Float64s, n_halo: int, names: Int64s, sets: Sets, process: Process, **how: Unpack[How]) -> Owner:
    """Build a part: a halo, and then points of its own, each with its set."""
    given = matrix(points), n_halo, address(names), address(sets.offsets), address(sets.neighbors)
    options = options_of(process, how)
    return made(lib.covertree_vif_part_build, lib.covertree_vif_part_free, how, *given, options=options)


def with_parameters(part: Handle, process: Process, **how: Unpack[How]) -> Owner:
    """A part with the same points and sets, and another kernel and noise."""
    options = options_of(process, how)
    return made(lib.covertree_vif_part_with_parameters, lib.covertree_vif_part_free, how, part, options=options)


def sums(part: Handle, n_own: int, y: Float64s, **how: Unpack[How]) -> Totals:
    """The sums over a part's own points, of which there are ``n_own``."""
    m, log_determinant = get_info(part).n_inducing, c_double()
    products, projections = np.empty((m, m)), np.empty((y.shape[1], m))
    wanted = byref(log_determinant), address(products), address(projections)
    call(lib.covertree_vif_part_sums, how, (part, matrix(y)), *wanted)
    return Totals(n_own, log_determinant.value, products, projections)


def terms(part: Handle, y: Float64s, totals: Totals, *, gradient: bool, **how: Unpack[How]) -> Terms:
    """A part's shares of the value and, if it is wanted, of the gradient."""
    info, count = get_info(part), y.shape[1]
    found = Terms(
        np.empty(count),
        np.empty((count, info.n_parameters)) if gradient else None,
        np.empty((count, info.n_inducing, info.n_inducing)) if gradient else None,
    )
    given = part, matrix(y), byref(totals._struct())
    call(lib.covertree_vif_part_terms, how, given, byref(found._struct()))
    return found


def log_likelihood(part: Handle, totals: Totals, summed: Terms, **how: Unpack[How]) -> tuple[Float64s, Float64s | None]:
    """The log likelihood of each response, and its gradient, (responses, parameters), from the sums over all parts."""
    count, gradients = len(summed.quadratics), summed.gradients
    values, wanted = np.empty(count), None if gradients is None else np.empty(gradients.shape)
    given = part, byref(totals._struct()), byref(summed._struct()), count
    call(lib.covertree_vif_part_log_likelihood, how, given, address(values), address(wanted))
    return values, wanted


def predict(
    part: Handle, y: Float64s, totals: Totals, points: Float64s, sets: Sets, *, variance: bool, **how: Unpack[How]
) -> tuple[Float64s, Float64s | None]:
    """Means, (q, responses), and the variance of the process, (q,), at new points whose sets are in the part."""
    means, variances = np.empty((len(points), y.shape[1])), np.empty(len(points)) if variance else None
    given = part, matrix(y), byref(totals._struct()), new_points(points, sets)
    call(lib.covertree_vif_part_predict, how, given, address(means), address(variances), points="new")
    return means, variances


def get_info(part: Handle) -> VifInfo:
    """A part in numbers."""
    return read(lib.covertree_vif_part_get_info, part, VifInfo)
