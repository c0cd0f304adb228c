"""The course of a fit: a warm-up on a sample, and stages of L-BFGS-B with refits between them.

Inducing points and conditioning sets depend on the hyperparameters. They are chosen again after iterations 1, 2, 4, 8
and so on with all data, and when the optimiser has converged. Between these refits they stay, so that the objective is
smooth in each line search. A refit moves the likelihood of a large data set by tens of nats in either direction. So the
fit ends if a stage between two refits no longer changes the hyperparameters, or gains less than refits move the
likelihood. The result is the model with the largest likelihood.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._capi import CoverTreeError
from ._fit_result import Fit, FitStep
from ._hyperparameters import Curvature, Floats, Hyperparameters
from ._likelihood import Evaluation, Objective, Sets, Source, is_of_hyperparameters

# A warm-up goes most of the way on a sample of this size, where an evaluation takes a fraction of the time. It is worth
# its time if there are a few times more data. On Elevators (13 279 x 17) 19 evaluations with all data follow. Without
# it, and without an estimate of curvatures, 124 of them lead to scores that are no better.
_WARM_UP_POINTS, _WARM_UP_DATA = 2000, 5000
# Iterations of a warm-up between two refits.
_WARM_UP_ITERATIONS = (30, 60)
# Corrections that L-BFGS-B keeps: twice its default, as they take no time compared with an evaluation.
_CORRECTIONS = 20
# A stage ends if an iteration gains less than this share of the changes by refits. If the stage may be the last, as
# many iterations must: its first steps may be short, because L-BFGS-B only knows curvatures along the axes then.
_SHARE_OF_JUMP, _IDLE_ITERATIONS = 0.02, 2
# Nats per observation: the assumed change by a refit, before one has been measured.
_FIRST_JUMP = 5e-3
# Hyperparameters have not changed if no logarithm did by more than this.
_LEAST_CHANGE = 1e-4
# Logarithms of further starting values are normal around those of the data, with this standard deviation.
_SPREAD_OF_STARTS = 1.0
# Bounds that a warning names.
_NAMED = 4


class Plan(NamedTuple):
    """Options of a fit, as in :func:`covertreex.vecchia.fit`."""

    refit: bool
    restarts: int
    max_iterations: int
    tolerance: float
    seed: int


class _Ended(NamedTuple):
    """Where a stage ended."""

    theta: Floats
    begin: float  #: the log likelihood at the beginning
    log_likelihood: float
    has_converged: bool
    jump: float  #: the change of the log likelihood by the refit before

    @property
    def gain(self) -> float:
        """Of the log likelihood."""
        return self.log_likelihood - self.begin


class _Best(NamedTuple):
    """The largest likelihood of all data so far."""

    found: Evaluation
    model: Any
    sets_theta: Floats


class _Idle(Exception):
    """The last iterations of a stage gained too little."""


class Run:
    """The course of a fit, and its state: the best model, the history, and counts."""

    def __init__(
        self,
        data: Source,
        space: Hyperparameters,
        plan: Plan,
        options: Mapping[str, Any],
        reports: Sequence[Callable[[FitStep], object]],
    ) -> None:
        self._data, self._space, self._plan = data, space, plan
        self._options, self._reports = options, list(reports)
        self._curvature = Curvature(int(space.free.sum()))
        self._history: list[FitStep] = []
        self._best: _Best | None = None
        self._base: Any = None
        self._sample_best: Evaluation | None = None
        self._n_iterations = self._n_evaluations = self._n_refits = 0
        self._began = time.perf_counter()

    # The course of a fit

    def result(self) -> Fit:
        """Fit, and return the best model."""
        stopped = "converged"
        try:
            if not self._climb(self._warm_up()):
                stopped = "max_iterations"
        except KeyboardInterrupt:
            stopped = "interrupted"
        except (ValueError, CoverTreeError) as error:
            if self._best is None or not is_of_hyperparameters(error):
                raise
            stopped = f"failed: {error}"
        if self._best is None:  # interrupted before there was a model of all data
            self._reports.clear()
            theta = self._space.start if self._sample_best is None else self._sample_best.theta
            self._stage(self._build(self._data, theta), self._data, theta, 0)
        return self._described(stopped)

    def _warm_up(self) -> Floats:
        """Hyperparameters to start from with all data: the best of a sample, and of several starting values."""
        n, starts = self._data.n, self._starts()
        has_arrays = any(not isinstance(self._options.get(name, ""), str) for name in ("ordering", "neighbors"))
        is_large = n > _WARM_UP_DATA and not has_arrays and self._plan.refit and self._plan.max_iterations > 0
        if not is_large and len(starts) == 1:
            return starts[0]
        data = self._data
        if is_large:
            data = data.some(np.sort(np.random.default_rng(self._plan.seed).permutation(n)[:_WARM_UP_POINTS]))
        ends: list[_Ended] = []
        for start in starts:
            try:
                theta = start
                for length in _WARM_UP_ITERATIONS:
                    ended = self._stage(self._build(data, theta), data, theta, length)
                    theta = ended.theta
            except (ValueError, CoverTreeError) as error:
                if not ends or not is_of_hyperparameters(error):
                    raise
                continue  # a random start may be beyond what float64 can do
            ends.append(ended)
        return max(ends, key=lambda one: one.log_likelihood).theta

    def _starts(self) -> list[Floats]:
        """Starting values."""
        first, free, generator = self._space.start, self._space.free, np.random.default_rng(self._plan.seed)
        starts = [first]
        for _ in range(self._plan.restarts):
            other = first.copy()
            other[free] += _SPREAD_OF_STARTS * generator.standard_normal(int(free.sum()))
            starts.append(self._space.clipped(other))
        return starts

    def _climb(self, theta: Floats) -> bool:
        """Stages with all data, with refits between them; whether they have converged."""
        first, length, free = self._n_iterations, 1, self._space.free
        before: _Ended | None = None
        while True:
            done = self._n_iterations - first
            length = min(length if self._plan.refit else self._plan.max_iterations, self._plan.max_iterations - done)
            ended = self._stage(self._build(self._data, theta), self._data, theta, length, before)
            is_same = bool((np.abs(ended.theta[free] - theta[free]) <= _LEAST_CHANGE).all())
            is_small = before is not None and ended.gain < max(before.jump, ended.jump)
            if ended.has_converged and (not self._plan.refit or is_same or is_small):
                return True
            done = self._n_iterations - first
            if done >= self._plan.max_iterations:
                return False
            length = length if ended.has_converged else max(done, 1)
            theta, before = ended.theta, ended

    def _build(self, data: Source, theta: Floats) -> Sets:
        """Choose order, sets and inducing points."""
        options = dict(self._options)
        if options.get("n_inducing") is not None and data is not self._data:
            options["n_inducing"] = min(options["n_inducing"], data.n)
        model = data.build(*self._space.parts(theta), self._plan.seed, options)
        self._n_refits += 1
        before, self._base = self._base, model
        self._close_unused(before)
        return Sets(model, theta)

    def _stage(
        self, sets: Sets, data: Source, start: Floats, n_iterations: int, before: _Ended | None = None
    ) -> _Ended:
        """L-BFGS-B over a model whose sets stay, after another one with other sets."""
        from scipy.optimize import minimize  # noqa: PLC0415 - slow to import

        n, free = data.n, self._space.free
        sets_theta = sets.theta if data is self._data else None
        objective = Objective(
            sets, data, self._space, start, lambda found, model: self._notice(found, model, sets_theta)
        )
        begin = objective.iterate.log_likelihood
        self._report(objective.iterate, n)
        # Some refits move little by luck.
        if before is None:
            most = jump = _FIRST_JUMP * n if self._plan.refit else 0.0
        else:
            jump = abs(begin - before.log_likelihood)
            most = max(jump, before.jump)
        if not n_iterations or not free.any():
            return _Ended(start, begin, begin, not free.any(), jump)
        enough, n_idle = max(self._plan.tolerance * n, _SHARE_OF_JUMP * most), 0

        def accept(_: Floats) -> None:
            nonlocal n_idle
            earlier, now = objective.iterate, objective.accept()
            self._n_iterations += 1
            self._curvature.update(now.theta[free] - earlier.theta[free], (earlier.gradient - now.gradient)[free] / n)
            self._report(now, n)
            n_idle = n_idle + 1 if now.log_likelihood - earlier.log_likelihood < enough else 0
            if n_idle == (_IDLE_ITERATIONS if now.log_likelihood - begin < most else 1):
                raise _Idle

        units = 1 / np.sqrt(n * self._curvature.diagonal)
        has_converged = True
        try:
            found = minimize(
                objective, objective.in_units(units), jac=True, method="L-BFGS-B", callback=accept,
                bounds=np.stack([self._space.lower[free], self._space.upper[free]], axis=1) / units[:, None],
                options={"maxiter": n_iterations, "ftol": 0.0, "gtol": 1e-6, "maxcor": _CORRECTIONS},
            )  # fmt: skip
            # A line search that finds nothing better ends a stage, too: rounding limits it.
            has_converged = found.status != 1
        except _Idle:
            pass
        end = objective.iterate
        return _Ended(end.theta, begin, end.log_likelihood, has_converged, jump)

    # Records

    @property
    def _seconds(self) -> float:
        return time.perf_counter() - self._began

    def _notice(self, found: Evaluation, model: Any, sets_theta: Floats | None) -> None:
        """Count an evaluation, and keep the best ones; ``sets_theta`` is None for those of a sample."""
        self._n_evaluations += 1
        if sets_theta is None:
            if self._sample_best is None or found.log_likelihood > self._sample_best.log_likelihood:
                self._sample_best = found
        elif self._best is None or found.log_likelihood > self._best.found.log_likelihood:
            before, self._best = self._best, _Best(found, model, sets_theta)
            self._close_unused(None if before is None else before.model)
        self._close_unused(model)

    def _close_unused(self, model: Any) -> None:
        """Free a model that is neither the best nor the one whose sets are in use.

        Freeing is most of what a fit does between calls of the library. In a finaliser it would lose Ctrl-C: Python
        ignores exceptions there.
        """
        best = None if self._best is None else self._best.model
        if model is not None and model is not best and model is not self._base:
            model.close()

    def _report(self, found: Evaluation, n: int) -> None:
        best = -np.inf if self._best is None else self._best.found.log_likelihood
        step = FitStep(
            self._n_iterations, self._n_refits, n, found.log_likelihood, best, found.theta, self._n_evaluations,
            self._seconds,
        )  # fmt: skip
        self._history.append(step)
        for report in self._reports:
            report(step)

    def _described(self, stopped: str) -> Fit:
        assert self._best is not None
        (found, model, sets_theta), space, most = self._best, self._space, self._plan.max_iterations
        messages = []
        if stopped == "max_iterations" and most:
            messages.append(f"fit: has not converged after {most} iterations; raise their limit to go on")
        elif stopped == "interrupted":
            messages.append("fit: was interrupted; the model is the best so far")
        elif stopped.startswith("failed"):
            messages.append(f"fit: {stopped}; the model is the best so far")
        at_bounds = space.at_bounds(found.theta)
        if at_bounds and most:
            named = ", ".join(at_bounds[:_NAMED])
            rest = f" and {len(at_bounds) - _NAMED} more" if len(at_bounds) > _NAMED else ""
            messages.append(
                f"fit: ended at bounds of {named}{rest}; a column with a large lengthscale has no effect, and other "
                "hyperparameters need wider bounds, or the data do not determine them"
            )
        return Fit(
            model=model, log_likelihood=found.log_likelihood, theta=found.theta, noise=float(np.exp(found.theta[0])),
            bounds=np.stack([space.lower, space.upper], axis=1), sets_theta=sets_theta, history=self._history,
            n_iterations=self._n_iterations, n_evaluations=self._n_evaluations, n_refits=self._n_refits,
            seconds=self._seconds, stopped=stopped.partition(":")[0], messages=tuple(messages),
        )  # fmt: skip
