"""The VIF model on a Dask cluster, beside the same model on one machine.

    machines_vif.py             everything; writes machines_vif.md
    machines_vif.py --quick     smaller, writes nothing

Workers are processes of one thread each on this machine. Both models have the same order and inducing points. The last
column is the largest relative difference of the value, the gradient, and the means of predictions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import covertreex.dask
import dask.array as da
import numpy as np
from covertreex._bench.clocks import timed
from covertreex.kernels import Matern52
from covertreex.vecchia import VIF
from dask.distributed import Client, LocalCluster, wait
from processes import options
from tables import machine, table, write

HERE = Path(__file__).parent
KERNEL, NOISE, N_NEIGHBORS, N_INDUCING, N_NEW = Matern52(0.1), 0.01, 15, 128, 10_000


def observed(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Uniform points in a cube, with a smooth response."""
    rng = np.random.default_rng(n)
    points = rng.random((n, 3))
    return points, np.sin(6 * points[:, 0]) + 0.1 * rng.standard_normal(n)


class Reference:
    """The model on one machine."""

    def __init__(
        self, points: np.ndarray, y: np.ndarray, order: np.ndarray, inducing: np.ndarray
    ) -> None:
        self.points, self.y, self.order, self.inducing = points, y, order, inducing
        self.new = np.random.default_rng(1).random((N_NEW, 3))

    def row(self, n_threads: int) -> list[str]:
        """A row of the table, for a number of threads."""
        build, model = timed(
            lambda: VIF(
                self.points, kernel=KERNEL, noise=NOISE, n_neighbors=N_NEIGHBORS, inducing_points=self.inducing,
                ordering=self.order, n_threads=n_threads,
            )
        )  # fmt: skip
        took, (self.value, self.gradient) = timed(
            lambda: model.log_likelihood(
                self.y, eval_gradient=True, n_threads=n_threads
            )
        )
        predicted, self.mean = timed(
            lambda: model.predict(self.new, self.y, n_threads=n_threads)
        )
        name = f"one machine, {n_threads} thread{'s' if n_threads > 1 else ''}"
        return line(name, len(self.y), build, took, predicted, "")

    def difference(self, value: float, gradient: np.ndarray, mean: np.ndarray) -> str:
        """The largest relative difference."""
        pairs = (
            (value, self.value),
            (gradient, self.gradient),
            (mean, self.mean),
        )
        most = max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)
        return f"{most:.0e}"


def line(name: str, n: int, *cells: Any) -> list[str]:
    """A row of the table."""
    seconds = [f"{cell:.1f}" for cell in cells[:-1]]
    return [name, f"{n:,}", *seconds, cells[-1]]


def compared(n: int, workers: list[int], n_partitions: int) -> list[list[str]]:
    """The model of some points on one machine, and on clusters of some numbers of workers."""
    points, y = observed(n)
    rows, reference = [], None
    for count in workers:
        with (
            LocalCluster(
                n_workers=count, threads_per_worker=1, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,
        ):
            array = da.from_array(points, chunks=(-(-n // 8), 3))

            def build(array: da.Array = array, client: Client = client) -> Any:
                model = covertreex.dask.vif(
                    array, y, client=client, kernel=KERNEL, noise=NOISE, m=N_NEIGHBORS, n_inducing=N_INDUCING,
                    n_partitions=n_partitions,
                )  # fmt: skip
                wait(model._parts)
                return model

            built, model = timed(build)
            if reference is None:
                order = model.order.compute()
                reference = Reference(points, y, order, model.inducing_points)
                rows += [reference.row(1), reference.row(2)]
            took, (value, gradient) = timed(
                lambda model=model: model.log_likelihood(eval_gradient=True)
            )
            new = reference.new
            predicted, mean = timed(lambda model=model, new=new: model.predict(new))
            name = (
                f"{count} worker{'s' if count > 1 else ''}, {n_partitions} partitions"
            )
            same = reference.difference(value, gradient, mean)
            rows.append(line(name, n, built, took, predicted, same))
            del model
    return rows


def main() -> None:
    """Measure, and write the results."""
    given = options(__doc__).parse_args()
    n = 10_000 if given.quick else 100_000
    rows = compared(n // 2, [1], 4) + compared(n, [1, 2], 8)
    head = "points | sets and parts, s | value and gradient, s | 10 000 predictions, s | difference"
    note = (
        f"Uniform in a cube, {N_NEIGHBORS} neighbours by residual correlation, {N_INDUCING} inducing points. On "
        f"{machine()}; workers have one thread each. `benchmarks/machines_vif.py` writes this table."
    )
    text = "\n".join([*table(["", *head.split(" | ")], rows, n_words=1), "", note])
    print(text)
    if not given.quick:
        write(HERE / "machines_vif", text)


if __name__ == "__main__":
    main()
