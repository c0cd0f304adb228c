"""How accuracy depends on inducing points, neighbours, their metric, the order and the kernel.

    choosing.py             everything; writes choosing.json, choosing.md and the plots
    choosing.py --quick     fewer points and kernels, writes nothing

`choosing_models.py` has the measurements. Data that are not here are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from choosing_models import (
    FITTED,
    KERNELS,
    N_TEST,
    NEIGHBORS,
    ON_DATA,
    ORDERED,
    ORDERS,
    PAIRS,
    SIZES,
    USUAL,
    N,
    first_part,
    second_part,
)
from processes import Figures, options
from tables import machine, spaced, table, titled, write

HERE = Path(__file__).parent


def only(rows: Iterable[Figures], **given: Any) -> Figures:
    """The row with these values."""
    (row,) = (
        row for row in rows if all(row[name] == one for name, one in given.items())
    )
    return row


def usual(rows: Iterable[Figures], m: int, k: int, **given: Any) -> Figures:
    """The row of a model with the default metric and order."""
    metric = "residual" if m else "euclidean"
    return only(rows, m=m, k=k, metric=metric, order="maxmin", **given)


def names(rows: Iterable[Figures], key: str) -> list[str]:
    """Different values, in their order."""
    return list(dict.fromkeys(row[key] for row in rows))


def percent(share: float) -> str:
    """A share as a percentage."""
    if share < 0.001:
        return "< 0.1 %"
    return f"{100 * share:.{0 if share >= 0.1 else 1}f} %"


def pairs_head(pairs: Iterable[tuple[int, int]]) -> list[str]:
    """Titles of columns."""
    return [f"m {m}, k {k}" for m, k in pairs]


def grid_table(rows: Sequence[Figures]) -> list[str]:
    """Divergences and added log scores against m and k."""
    lines = []
    for case in names(rows, "case"):
        for m, title in titled(map(str, SIZES), case):
            cells = [
                usual(rows, int(title), k, case=case, kernel=USUAL) for k in NEIGHBORS
            ]
            share = percent(cells[0]["residual_share"])
            figures = [
                f"{1000 * one['divergence']:.2f}, {1000 * one['added_log_score']:.2f}"
                for one in cells
            ]
            lines.append([m, title, share, *figures])
    head = ["process", "m", "residual share", *(f"k {k}" for k in NEIGHBORS)]
    return table(head, lines, n_words=1)


def kernel_table(rows: Sequence[Figures]) -> list[str]:
    """Divergences of the kernels."""
    lines = []
    for case in names(rows, "case"):
        for title, kernel in titled(names(rows, "kernel"), case):
            cells = [usual(rows, *pair, case=case, kernel=kernel) for pair in PAIRS]
            share = usual(rows, 200, 30, case=case, kernel=kernel)["residual_share"]
            figures = [f"{1000 * one['divergence']:.2f}" for one in cells]
            lines.append([title, kernel, percent(share), *figures])
    head = ["process", "kernel", "residual share, m 200", *pairs_head(PAIRS)]
    return table(head, lines)


def ratio(row: Figures, to: Figures) -> str:
    """Of two divergences; nothing where both are 0 but for rounding."""
    if max(row["divergence"], to["divergence"]) < 1e-6:
        return ""
    return f"{row['divergence'] / to['divergence']:.2f}"


def metric_table(rows: Sequence[Figures]) -> list[str]:
    """Divergences by residual correlation over those by Euclidean neighbours."""
    pairs = [(m, k) for m, k in PAIRS if m]
    lines = []
    for case in names(rows, "case"):
        for title, kernel in titled(names(rows, "kernel"), case):
            line = [title, kernel]
            for m, k in pairs:
                given = {"case": case, "kernel": kernel, "m": m, "k": k, "order": "maxmin"}  # fmt: skip
                one = only(rows, metric="residual", **given)
                line.append(ratio(one, only(rows, metric="euclidean", **given)))
            lines.append(line)
    return table(["process", "kernel", *pairs_head(pairs)], lines)


def order_table(rows: Sequence[Figures]) -> list[str]:
    """Divergences of orders over those of the max-min order."""
    lines = []
    for case in names(rows, "case"):
        for title, kernel in titled(names(rows, "kernel"), case):
            line = [title, kernel]
            for order in ORDERS[1:]:
                for m, k in ORDERED:
                    given = {"case": case, "kernel": kernel, "m": m, "k": k}
                    given["metric"] = "residual" if m else "euclidean"
                    best = only(rows, order="maxmin", **given)
                    line.append(ratio(only(rows, order=order, **given), best))
            lines.append(line)
    columns = [
        f"{order}, {pair}" for order in ORDERS[1:] for pair in pairs_head(ORDERED)
    ]
    return table(["process", "kernel", *columns], lines)


def data_table(rows: Sequence[Figures]) -> list[str]:
    """Scores and seconds on data."""
    lines = []
    for case in names(rows, "case"):
        own = [row for row in rows if row["case"] == case]
        title = f"{case}, {spaced(own[0]['n'])} x {own[0]['dim']}"
        for row in own:
            others = [
                row[name]
                for name, default in (
                    ("metric", "residual" if row["m"] else "euclidean"),
                    ("order", "maxmin"),
                )
                if row[name] != default
            ]
            lines.append([
                title,
                ", ".join([f"m {row['m']}, k {row['k']}", *others]),
                percent(row["residual_share"]),
                f"{row['build_s']:.2f}",
                f"{row['gradient_s']:.2f}",
                f"{row['predict_s']:.2f}",
                f"{row['log_likelihood']:,.0f}",
                f"{row['rmse']:.4f}",
                f"{row['log_score']:.4f}",
            ])  # fmt: skip
            title = ""
    head = [
        "data", "model", "residual share", "build s", "likelihood with gradient s", "predict s", "log likelihood",
        "RMSE", "log score"
    ]  # fmt: skip
    return table(head, lines)


def draw_grid(rows: Sequence[Figures], path: Path) -> None:
    """Draw divergences and added log scores against k."""
    from matplotlib.figure import Figure

    cases = names(rows, "case")
    figure = Figure(figsize=(3 * len(cases) + 0.6, 6), layout="constrained")
    panels = figure.subplots(2, len(cases), sharex=True, sharey="row", squeeze=False)
    looks = [("divergence", "divergence, nats a point"), ("added_log_score", "added to the log score, nats")]  # fmt: skip
    for line, (key, label) in zip(panels, looks):
        line[0].set_ylabel(label)
        for axes, case in zip(line, cases):
            for number, m in enumerate(SIZES):
                values = [
                    usual(rows, m, k, case=case, kernel=USUAL)[key] for k in NEIGHBORS
                ]
                axes.plot(NEIGHBORS, values, "o-", color=f"C{number}", markersize=4, label=f"m {m}")  # fmt: skip
            axes.set(xscale="log", yscale="log", ylim=(1e-7, 1))
            axes.set_xticks(NEIGHBORS, [str(k) for k in NEIGHBORS])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
    for axes, case in zip(panels[0], cases):
        axes.set_title(case)
    for axes in panels[1]:
        axes.set_xlabel("neighbours k")
    panels[0][0].legend(fontsize=8, loc="upper right")
    figure.savefig(path, dpi=110)


def draw_data(rows: Sequence[Figures], path: Path) -> None:
    """Draw log scores against the seconds of a likelihood with its gradient."""
    from matplotlib.figure import Figure

    cases = names(rows, "case")
    figure = Figure(figsize=(4 * len(cases), 3.6), layout="constrained")
    panels = figure.subplots(1, len(cases), squeeze=False)[0]
    for axes, case in zip(panels, cases):
        own = [row for row in rows if row["case"] == case]
        for number, (m, ks) in enumerate(ON_DATA.items()):
            line = [usual(own, m, k) for k in ks]
            seconds = [one["gradient_s"] for one in line]
            scores = [one["log_score"] for one in line]
            axes.plot(seconds, scores, "o-", color=f"C{number}", markersize=4, label=f"m {m}")  # fmt: skip
            for k, *at in zip(ks, seconds, scores):
                axes.annotate(str(k), at, textcoords="offset points", xytext=(3, 4), fontsize=8)  # fmt: skip
        axes.set(xscale="log", title=f"{case}, {spaced(own[0]['n'])} x {own[0]['dim']}")
        axes.set_xlabel("likelihood with gradient, s")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("log score of predictions")
    panels[0].legend(fontsize=8, loc="upper right")
    figure.savefig(path, dpi=110)


FOOT = """\
In the first four tables, {n} points; "square" are uniform points in the unit square with lengthscales of 0.05 and 0.5 and a noise \
variance of 0.01, "8 columns" are rows of kin40k with fitted lengthscales and noise variances of 0.001 and 0.3. The variance of the \
process is 1. Inducing points are by k-means++; neighbours are by residual correlation, and the order is max-min, unless a table \
says something else. The residual share is the mean of $p_i$ over the variance. "sorted" is by the first column. On data, {kernel} \
with hyperparameters of one fit with m 200, k 30 to {fitted} of the points, and {new} new points; seconds are of all threads. On \
{machine}; `benchmarks/choosing.py` writes these tables."""


def report(exact: Sequence[Figures], data: Sequence[Figures]) -> str:
    """All tables."""
    parts = [
        (f"Divergence, and what the approximation adds to the log score, in nats per 1 000 points, {USUAL}:", grid_table(exact)),
        ("Divergence in nats per 1 000 points, for each kernel:", kernel_table(exact)),
        ("Divergence of neighbours by residual correlation over that of Euclidean neighbours:", metric_table(exact)),
        ("Divergence over that of the max-min order:", order_table(exact)),
    ]  # fmt: skip
    if data:
        parts.append(("On data:", data_table(data)))
    return "\n\n".join("\n".join([title, "", *lines]) for title, lines in parts)


def finish(exact: Sequence[Figures], data: Sequence[Figures]) -> None:
    """Write the tables, the figures and the plots."""
    foot = FOOT.format(
        n=spaced(N), kernel=USUAL, fitted=spaced(FITTED), new=spaced(N_TEST), machine=machine()
    )  # fmt: skip
    text = f"{report(exact, data)}\n\n{foot}"
    write(HERE / "choosing", text, {"exact": exact, "data": data})
    draw_grid(exact, HERE / "choosing.png")
    if data:
        draw_data(data, HERE / "choosing-data.png")


def main() -> None:
    """Measure, print, and write."""
    if options(__doc__).parse_args().quick:
        print(report(first_part(400, [USUAL]), []))
    else:
        finish(first_part(N, KERNELS), second_part())


if __name__ == "__main__":
    main()
