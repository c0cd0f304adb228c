"""The command ``pcct`` of covertreex 0.4.x, on this library.

It makes standard normal points, builds a tree of them, searches it, and prints one line. Options without an effect are
accepted, with a warning.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _telemetry
from .._capi import build_info
from .._settings import PROFILES, Diagnostics
from . import artifacts, baseline, host_data, plugins
from ._notices import LegacyWarning, without_effect
from .context import Runtime
from .pcct import PCCT
from .runtime import profile_name

_BASELINES: dict[str, Any] = {
    "sequential": baseline.BaselineCoverTree,
    "gpboost": baseline.GPBoostCoverTreeBaseline,
    "external": baseline.ExternalCoverTreeBaseline,
    "mlpack": baseline.MlpackCoverTreeBaseline,
    "sklearn": baseline.ScikitLearnBaseline,
    "scipy": baseline.ScipyBaseline,
}

# Options with an effect: name, type, default, help.
_SHAPE: tuple[tuple[str, Any, Any, str], ...] = (
    ("dimension", int, 8, "coordinates of a point"),
    ("tree-points", int, 16_384, "points of the tree"),
    ("seed", int, 0, "for points and queries"),
    ("profile", str, None, f"settings that go together: {', '.join(PROFILES)}"),
    ("engine", str, None, "a name of an engine"),
    ("precision", str, None, "float32 or float64"),
    ("log-level", str, None, "of the logger"),
    ("global-seed", int, None, "for the tree, and inducing points"),
    ("mis-seed", int, None, "for the tree"),
    ("residual-grid-seed", int, None, "for inducing points"),
    ("batch-order", str, None, "hilbert, natural or random"),
    ("residual-lengthscale", float, 1.0, "of the kernel"),
    ("residual-variance", float, 1.0, "of the kernel"),
    ("residual-kernel-type", int, 0, "0: RBF, 1: Matern 5/2"),
    ("residual-inducing", int, 512, "inducing points"),
    ("log-file", str, None, "to which records of calls are appended"),
)
_SEARCH: tuple[tuple[str, Any, Any, str], ...] = (
    ("queries", int, 1_024, "new points, or some of the points for residual correlation"),
    ("k", int, 8, "neighbours of each"),
    ("baseline", str, "none", f"with commas: {', '.join(_BASELINES)}"),
)

# Options without an effect: options with a value, then switches.
_IGNORED = (
    "backend", "batch-size", "batch-order-seed", "build-mode", "conflict-graph", "degree-cap", "prefix-density-high",
    "prefix-density-low", "prefix-growth-large", "prefix-growth-mid", "prefix-growth-small", "prefix-schedule",
    "residual-chunk-size", "residual-prefilter-lookup-path", "residual-prefilter-margin",
    "residual-prefilter-radius-cap", "residual-radius-floor", "residual-scope-cap-default",
    "residual-scope-cap-margin", "residual-scope-cap-output", "residual-scope-cap-percentile", "residual-scope-caps",
    "residual-scope-member-limit", "residual-stream-tile", "run-id", "scope-chunk-max-segments", "scope-chunk-target",
)  # fmt: skip
_IGNORED_SWITCHES = (
    "residual-dense-scope-streamer", "residual-dynamic-query-block", "residual-force-whitened",
    "residual-level-cache-batching", "residual-masked-scope-append", "residual-prefilter", "residual-prefilter-audit",
    "residual-scope-bitset", "scope-chunk-pair-merge", "scope-conflict-buffer-reuse", "scope-segment-dedupe",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. Exit codes: 0, 1 for what failed, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always", LegacyWarning)
        warnings.showwarning = lambda message, *_, **__: print(f"pcct: {message}", file=sys.stderr)
        try:
            _warn_of_ignored(options)
            code = options.run(options) or 0
        except (ValueError, TypeError, LookupError, OSError, MemoryError, ImportError, RuntimeError) as error:
            print("pcct: " + " ".join(str(error).split()), file=sys.stderr)
            code = 1
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pcct", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        made.set_defaults(run=run)
        return made

    for name, run, text in (
        ("query", _query, "Build a tree of random points, and search it."),
        ("build", _build, "Build a tree of random points."),
        ("benchmark", _benchmark, "Build and search several times."),
        ("breakdown", _breakdown, "Build and search, and show what the phases took."),
    ):
        made = command(name, run, text)
        _add_run_options(made, with_search=name != "build")
        if name == "build":
            made.add_argument("--export-tree", metavar="PATH", help="an .npz for the arrays of the tree")
        if name == "benchmark":
            made.add_argument("--repeat", type=int, default=3, help="how often")
            made.add_argument("--seed-step", type=int, default=1, help="added to the seed each time")

    profiles = command("profile", _list_profiles, "Settings that go together.").add_subparsers(metavar="COMMAND")
    profiles.add_parser("list", help="List them.")
    one = profiles.add_parser("describe", help="Show the settings of one.")
    one.set_defaults(run=_describe_profile)
    one.add_argument("name")
    one.add_argument("--format", "-f", default="yaml", type=str.lower, choices=("yaml", "json"))

    doctor = command("doctor", _doctor, "Say whether this installation computes what it should.")
    doctor.add_argument("--profile", default="default")
    doctor.add_argument("--set", action="append", metavar="PATH=VALUE", default=[])
    doctor.add_argument("--fail-on-warning", action="store_true", help="without effect: there are no warnings")
    command("plugins", _plugins, "List strategies and metrics, those of plugins too.")

    records = command("telemetry", _render, "Records of calls.").add_subparsers(metavar="COMMAND", required=True)
    render = records.add_parser("render", help="Sum up a log.")
    render.add_argument("log")
    render.add_argument("--format", default="md", choices=("md", "json", "csv"))
    render.add_argument("--show", action="append", metavar="SECTION", help="without effect")
    return parser


def _add_run_options(parser: argparse.ArgumentParser, *, with_search: bool) -> None:
    for name, kind, default, text in _SHAPE + (_SEARCH if with_search else ()):
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{text}  [{default}]")
    metrics = ("auto", "euclidean", "residual", "residual-lite")
    parser.add_argument("--metric", choices=metrics, default="auto", help="auto: that of the profile, or Euclidean")
    parser.add_argument("--set", action="append", metavar="PATH=VALUE", default=[], help="with --profile: a setting")
    parser.add_argument("--no-log-file", action="store_true", help="as it is without --log-file")
    if with_search:
        _add_switch(parser, "--predecessor-mode", "--no-predecessor-mode", "only points before each")
    _add_switch(parser, "--enable-diagnostics", "--disable-diagnostics", "whether calls are recorded")
    unused = parser.add_argument_group("without effect")
    for name in _IGNORED:
        unused.add_argument(f"--{name}", metavar="VALUE")
    unused.add_argument("--device", "-d", action="append", metavar="VALUE")
    for name in _IGNORED_SWITCHES:
        _add_switch(unused, f"--{name}", f"--no-{name}")
    for name in ("numba", "sparse-traversal"):
        _add_switch(unused, f"--enable-{name}", f"--disable-{name}")


def _add_switch(parser: Any, on: str, off: str, text: str | None = None) -> None:
    name = on[2:].replace("-", "_")
    parser.add_argument(on, dest=name, action="store_true", default=None, help=text)
    parser.add_argument(off, dest=name, action="store_false", default=None, help=argparse.SUPPRESS)


def _warn_of_ignored(options: argparse.Namespace) -> None:
    names = (*_IGNORED, *_IGNORED_SWITCHES, "device", "enable-numba", "enable-sparse-traversal")
    without_effect(f"--{name}" for name in names if getattr(options, name.replace("-", "_"), None) is not None)


def _runtime(options: argparse.Namespace) -> Runtime:
    if options.set and options.profile is None:
        raise ValueError("--set: overrides require --profile")
    names = ("engine", "precision", "log_level", "mis_seed", "batch_order", "global_seed", "residual_grid_seed")
    chosen: dict[str, Any] = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.metric != "auto":
        chosen["metric"] = options.metric
    if options.enable_diagnostics is not None or options.log_file is not None:
        chosen["diagnostics"] = Diagnostics(bool(options.enable_diagnostics), options.log_file)
    if options.profile is None:
        return Runtime(**{"metric": "euclidean", **chosen})
    return Runtime.from_profile(options.profile, options.set).with_updates(**chosen)


@dataclass(frozen=True)
class _Run:
    """A tree, its queries, and the seconds of both."""

    points: Any
    queries: Any
    tree: PCCT
    build_seconds: float
    seconds: float

    @property
    def latency(self) -> float:
        """Milliseconds a query."""
        return 1e3 * self.seconds / max(1, len(self.queries))


def _data(options: argparse.Namespace, runtime: Runtime, points: Any) -> host_data.ResidualCorrHostData | None:
    if runtime.metric != "residual_correlation":
        return None
    seeds = runtime.to_model().seeds
    drawn = seeds.resolved("residual_grid", fallback=seeds.resolved("mis"))
    return host_data.build_residual_backend(
        points, seed=drawn, inducing_count=options.residual_inducing, variance=options.residual_variance,
        lengthscale=options.residual_lengthscale, kernel_type=options.residual_kernel_type,
    )  # fmt: skip


def _run(options: argparse.Namespace, runtime: Runtime, seed: int) -> _Run:
    points = np.random.default_rng(seed).standard_normal((options.tree_points, options.dimension))
    n_queries = getattr(options, "queries", 0)
    draw = np.random.default_rng(seed + 1)
    known = host_data.known_backend()
    start = time.perf_counter()
    data = _data(options, runtime, points)
    host_data.set_residual_backend(known if data is None else data)
    try:
        tree = PCCT(runtime).fit(points)
    finally:
        host_data.set_residual_backend(known)
    built = time.perf_counter() - start
    shape = (n_queries, options.dimension)
    queries = draw.standard_normal(shape) if data is None else draw.integers(0, len(points), size=n_queries)
    start = time.perf_counter()
    if n_queries:
        tree.knn(queries, k=options.k, predecessor_mode=bool(options.predecessor_mode))
    return _Run(points, queries, tree, built, time.perf_counter() - start)


def _query(options: argparse.Namespace) -> None:
    run = _run(options, _runtime(options), options.seed)
    print(
        f"pcct | build={run.build_seconds:.4f}s queries={len(run.queries)} k={options.k} time={run.seconds:.4f}s "
        f"latency={run.latency:.4f}ms throughput={len(run.queries) / max(run.seconds, 1e-9):,.1f} q/s"
    )
    for name in [one.strip() for one in options.baseline.split(",") if one.strip() not in ("", "none")]:
        _print_baseline(name, options, run)


def _print_baseline(name: str, options: argparse.Namespace, run: _Run) -> None:
    if name not in _BASELINES:
        raise ValueError(f"--baseline: expected some of {', '.join(_BASELINES)}, got {name!r}")
    queries = run.points[run.queries] if run.queries.ndim == 1 else run.queries
    start = time.perf_counter()
    made = _BASELINES[name].from_points(run.points)
    built, start = time.perf_counter() - start, time.perf_counter()
    made.knn(queries, k=options.k)
    seconds = time.perf_counter() - start
    latency = 1e3 * seconds / max(1, len(queries))
    print(
        f"baseline[{name}] | build={built:.4f}s time={seconds:.4f}s latency={latency:.4f}ms "
        f"slowdown={latency / max(run.latency, 1e-9):.3f}x"
    )


def _build(options: argparse.Namespace) -> None:
    run = _run(options, _runtime(options), options.seed)
    print(f"pcct build | points={len(run.tree)} dimension={options.dimension} build={run.build_seconds:.4f}s")
    if options.export_tree:
        assert run.tree.tree is not None
        arrays = run.tree.tree.materialise()
        exported: dict[str, Any] = {name: one for name, one in arrays.items() if isinstance(one, np.ndarray)}
        np.savez(options.export_tree, **exported)
        print(f"tree exported to {options.export_tree}")


def _benchmark(options: argparse.Namespace) -> None:
    if options.repeat < 1 or options.seed_step < 1:
        raise ValueError("--repeat, --seed-step: expected 1 or more")
    runtime = _runtime(options)
    runs = [_run(options, runtime, options.seed + i * options.seed_step) for i in range(options.repeat)]
    latencies = [run.latency for run in runs]
    print(
        f"pcct benchmark | runs={len(runs)} mean_latency={statistics.mean(latencies):.4f}ms "
        f"median={statistics.median(latencies):.4f}ms best={min(latencies):.4f}ms "
        f"mean_build={statistics.mean(run.build_seconds for run in runs):.4f}s"
    )


def _breakdown(options: argparse.Namespace) -> None:
    with _telemetry.record() as log:
        _run(options, _runtime(options), options.seed)
    for one in log.records:
        phases = " ".join(f"{name}={seconds:.4f}s" for name, seconds in one.phases.items())
        call = f"{one.kind}.{one.operation}"
        print(f"pcct breakdown | {call} rows={one.rows} seconds={one.seconds:.4f}s {phases}".rstrip())


def _list_profiles(options: argparse.Namespace) -> None:
    width = max(map(len, PROFILES))
    for one in PROFILES.values():
        print(f"{one.name:{width}}  {one.purpose}")


def _describe_profile(options: argparse.Namespace) -> None:
    runtime = Runtime.from_profile(options.name)
    known = PROFILES[profile_name(options.name)]
    described = {"metadata": {"name": known.name, "description": known.purpose}, "runtime": runtime.describe()}
    print(json.dumps(described, indent=2) if options.format == "json" else "\n".join(_as_yaml(described)))


def _as_yaml(value: dict[str, Any], indent: str = "") -> Iterator[str]:
    for name, one in value.items():
        if isinstance(one, dict):
            yield f"{indent}{name}:"
            yield from _as_yaml(one, indent + "  ")
        else:
            yield f"{indent}{name}: {json.dumps(one)}"


def _doctor(options: argparse.Namespace) -> int:
    runtime = Runtime.from_profile(options.profile, options.set)
    print(f"pcct doctor | profile={options.profile} metric={runtime.metric} library={build_info()}")
    points = np.random.default_rng(0).standard_normal((500, 3))
    truth, _ = baseline.BaselineCoverTree.from_points(points).knn(points, k=5, return_distances=True)
    found = np.asarray(PCCT(Runtime(metric="euclidean")).fit(points).knn(points, k=5))
    checks = {"neighbours are those of a brute force": bool(np.array_equal(found, truth))}
    root = os.environ.get(artifacts.ROOT_VARIABLE)
    if root is not None:
        checks[f"artifact root {root} is writable"] = os.access(root, os.W_OK)
    for text, holds in checks.items():
        print(f"[{'ok' if holds else 'wrong'}] {text}")
    return 0 if all(checks.values()) else 1


def _plugins(options: argparse.Namespace) -> None:
    kinds = {
        "traversal": plugins.describe_traversal_strategies(),
        "conflict": plugins.describe_conflict_strategies(),
        "metric": plugins.list_metrics(),
    }
    for kind, listed in kinds.items():
        for one in listed:
            print(f"{kind:10} {one['name']:28} {one['module']}")


def _render(options: argparse.Namespace) -> None:
    if options.show:
        without_effect(["--show"])
    sums = [vars(one) for one in _telemetry.summarise(_telemetry.read(options.log))]
    if options.format == "json":
        print(json.dumps(sums, indent=2, default=str))
        return
    separator = "," if options.format == "csv" else " | "
    names = ("kind", "operation", "calls", "rows", "seconds")
    print(separator.join(names))
    for one in sums:
        print(separator.join(str(one[name]) for name in names))


if __name__ == "__main__":
    main()
