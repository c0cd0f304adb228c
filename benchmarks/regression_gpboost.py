"""GPBoost's fits for `regression.py`: watched, cut off, and described by what they print.

GPBoost prints its hyperparameters and its negative log likelihood after iterations 1 to 10, and then after every tenth. The lines are read
as they come, with their seconds, so that a fit that is cut off leaves figures, too. Its last hyperparameters then predict in another
process. Fit and prediction have limits of their own. As a script, this file is the process that is watched.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from processes import Figures
from regression_data import N_INDUCING, K, Problem, problem, start

# GPBoost's neighbours for predictions are twice as many as for the fit, by default.
APPROXIMATIONS = ("vif_correlation", "vif", "vecchia")
BEGUN, FITTED, PREDICTED = "covertree: begun", "covertree: fitted", "covertree: predicted"  # fmt: skip
# Seconds that a prediction may take, and Python with the data before a fit.
PREDICTION_PATIENCE, FIRST_PATIENCE = 600, 300
LATE = f"prediction not done in {PREDICTION_PATIENCE} s"

_ITERATION = re.compile(r"parameters after optimization iteration number (\d+)")
_PARAMETER = re.compile(r"cov_pars\[(\d+)\]: (\S+)")
_LIKELIHOOD = re.compile(r"egative log-likelihood: (\S+)")


class Line(NamedTuple):
    """A line that the process has printed, and when."""

    seconds: float
    text: str


class Watch:
    """A process that prints marks, and is ended if it spends more than its time between two of them."""

    def __init__(self, arguments: Sequence[str], limits: dict[str, float]) -> None:
        self.lines: list[Line] = []
        self.is_late = False
        self._limits = limits
        self._process = subprocess.Popen(
            [sys.executable, "-u", __file__, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._timer = self._started(FIRST_PATIENCE)

    def _started(self, limit: float) -> threading.Timer:
        timer = threading.Timer(limit, self._end)
        timer.daemon = True
        timer.start()
        return timer

    def _end(self) -> None:
        self.is_late = True
        self._process.kill()

    def run(self) -> None:
        """Read until the process ends."""
        assert self._process.stdout is not None
        try:
            for text in self._process.stdout:
                self.lines.append(Line(time.perf_counter(), text.rstrip()))
                for mark, limit in self._limits.items():
                    if text.startswith(mark):
                        self._timer.cancel()
                        self._timer = self._started(limit)
        finally:
            self._timer.cancel()
            self._process.kill()
            self._process.wait()

    def at(self, mark: str) -> Line | None:
        """The line of a mark."""
        return next((line for line in self.lines if line.text.startswith(mark)), None)

    @property
    def error(self) -> str:
        """The last line of a process that failed, or the signal that ended it."""
        if self._process.returncode < 0:
            return f"ended by signal {-self._process.returncode}"
        return next((line.text for line in reversed(self.lines) if line.text), "no output")  # fmt: skip


def traced(lines: Iterable[Line], begun: float) -> list[Figures]:
    """Likelihoods, hyperparameters and seconds of the iterations that were printed."""
    found: list[Figures] = []
    iteration, parameters = 0, dict[int, float]()
    for line in lines:
        if match := _ITERATION.search(line.text):
            iteration = int(match[1])
        elif match := _PARAMETER.search(line.text):
            parameters[int(match[1])] = float(match[2])
        elif (match := _LIKELIHOOD.search(line.text)) and parameters:
            value = -float(match[1])
            if math.isfinite(value):
                found.append({
                    "iteration": iteration,
                    "seconds": line.seconds - begun,
                    "log_likelihood": value,
                    "hyperparameters": [parameters[key] for key in sorted(parameters)],
                })  # fmt: skip
    return found


def measured(case: Sequence[str], out: Path, patience: float) -> Figures:
    """Fit and predict within the limits: figures, and predictions in ``out``; without figures, an `error`."""
    limits = {BEGUN: patience, FITTED: PREDICTION_PATIENCE, PREDICTED: 60}
    watch = Watch([*case, "--out", str(out)], limits)
    watch.run()
    begun, fitted = watch.at(BEGUN), watch.at(FITTED)
    if begun is None or (fitted is None and not watch.is_late):
        return {"error": watch.error}
    before = [line for line in watch.lines if fitted is None or line.seconds <= fitted.seconds]  # fmt: skip
    trace = traced(before, begun.seconds)
    if fitted is not None:
        result = {"trace": trace, **json.loads(fitted.text.removeprefix(FITTED))}
        if (predicted := watch.at(PREDICTED)) is not None:
            result |= json.loads(predicted.text.removeprefix(PREDICTED))
        else:
            result["unscored"] = LATE if watch.is_late else watch.error
        return result
    result = {"trace": trace, "cut_off_s": patience, "iteration": 0}
    if not trace:
        return result
    last = {key: trace[-1][key] for key in ("iteration", "log_likelihood", "hyperparameters")}  # fmt: skip
    result |= last
    if not last["iteration"]:  # only the start has been evaluated
        return result
    return {**result, **_predicted(case, out, last["hyperparameters"])}


def _predicted(case: Sequence[str], out: Path, parameters: list[float]) -> Figures:
    """Predictions by given hyperparameters."""
    arguments = [*case, "--out", str(out), "--parameters", json.dumps(parameters)]
    watch = Watch(arguments, {BEGUN: PREDICTION_PATIENCE, PREDICTED: 60})
    watch.run()
    if (done := watch.at(PREDICTED)) is None:
        return {"unscored": LATE if watch.is_late else watch.error}
    figures: Figures = json.loads(done.text.removeprefix(PREDICTED))
    return figures


# The process that is watched


def mark(name: str, **figures: Any) -> None:
    """Print a mark."""
    print(f"{name}{json.dumps(figures)}", flush=True)


def run(given: Problem, approximation: str, parameters: list[float] | None, out: Path) -> None:  # fmt: skip
    """Fit, unless there are hyperparameters, and predict."""
    import gpboost

    mark(BEGUN)
    began = time.perf_counter()
    model = gpboost.GPModel(
        gp_coords=given.x,
        cov_function="matern_ard",
        cov_fct_shape=1.5,
        gp_approx=approximation,
        num_neighbors=K,
        num_ind_points=N_INDUCING,
        ind_points_selection="kmeans++",
        vecchia_ordering="random",
        likelihood="gaussian",
        seed=1,
    )
    if parameters is None:
        options = {"trace": True, "init_cov_pars": start(given.x.shape[1])}
        model.fit(y=given.y, params=options)
        mark(
            FITTED,
            fit_s=time.perf_counter() - began,
            iteration=int(model._get_num_optim_iter()),
            log_likelihood=-float(model.get_current_neg_log_likelihood()),
            hyperparameters=model.get_cov_pars(format_pandas=False).ravel().tolist(),
            version=gpboost.__version__,
        )
    began = time.perf_counter()
    rest: dict[str, Any] = {} if parameters is None else {"y": given.y, "cov_pars": np.array(parameters)}  # fmt: skip
    found = model.predict(gp_coords_pred=given.new_x, predict_var=True, **rest)
    took = time.perf_counter() - began
    np.savez(out, mean=found["mu"], variance=found["var"])
    mark(PREDICTED, predict_s=took, version=gpboost.__version__)


def main() -> None:
    """Be the process that is watched."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", required=True)
    parser.add_argument("--fold", type=int, required=True)
    parser.add_argument("--peer", required=True, choices=APPROXIMATIONS)
    parser.add_argument("--most", type=int)
    parser.add_argument("--parameters", type=json.loads)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    given = problem(asked.case, asked.fold, asked.most)
    run(given, asked.peer, asked.parameters, asked.out)


if __name__ == "__main__":
    main()
