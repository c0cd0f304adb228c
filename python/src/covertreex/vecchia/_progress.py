"""Progress of a fit, written to the standard error."""

from __future__ import annotations

import sys

from ._fit_result import FitStep

_WIDTH = 20


class ProgressBar:
    """A bar with iteration, likelihood and seconds: one line that changes on a terminal, a line a step elsewhere.

    It is full if the fit needs all iterations that it may make.
    """

    def __init__(self, max_iterations: int) -> None:
        self._most = max(max_iterations, 1)
        self._first: int | None = None  # the first iteration with all data
        self._width = 0

    def __call__(self, step: FitStep) -> None:
        """Show a step."""
        if step.best > float("-inf") and self._first is None:
            self._first = step.iteration
        done = 0 if self._first is None else min(step.iteration - self._first, self._most)
        bar = "#" * (_WIDTH * done // self._most)
        best = f", best {step.best:.2f}" if self._first is not None else ""
        text = (
            f"fit [{bar:.<{_WIDTH}}] iteration {step.iteration}, {step.n_points} points, "
            f"log likelihood {step.log_likelihood:.2f}{best}, {step.seconds:.1f} s"
        )
        if sys.stderr.isatty():
            print("\r" + text.ljust(self._width), end="", file=sys.stderr, flush=True)
            self._width = len(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        """End the line."""
        if self._width:
            print(file=sys.stderr, flush=True)
