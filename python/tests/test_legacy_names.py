"""Every public name of covertreex 0.4.5 is here; the others are internal."""

import importlib
import importlib.util
import pickle
import subprocess
import sys

import legacy_names as names
import pytest
from legacy_data import points

import covertreex
from covertreex import (
    PCCT,
    CoverTree,
    Residual,
    ResidualCoverTree,
    Runtime,
)
from covertreex import kernels as kernels_module
from covertreex import tree as core_tree
from covertreex.engine import build_tree
from covertreex.kernels import RBF, Matern52
from covertreex.metrics import build_residual_backend

pytestmark = pytest.mark.usefixtures("defaults_after")


@pytest.mark.parametrize("module", names.MODULES)
def test_every_public_name_is_there(module):
    found = importlib.import_module(module)
    assert {name for name in names.MODULES[module].split() if not hasattr(found, name)} == set()
    # Modules with names of this package, too.
    if module not in ("covertreex", "covertreex.kernels", "covertreex.runtime", "covertreex.telemetry"):
        assert set(found.__all__) <= set(names.MODULES[module].split()) | {"nearest_neighbor"}


def test_missing_names_are_internal():
    exported = {name for package in names.PACKAGES.split() for name in names.MODULES[package].split()}
    for module, listed in names.INTERNAL.items():
        for name in listed.split():
            assert name.startswith("_") or name not in {*exported, *names.DOCUMENTED.split()}, (module, name)
            assert name not in names.MODULES.get(module, "").split(), (module, name)
        if module not in names.MODULES:
            assert importlib.util.find_spec(module) is None
    documented = {name for listed in names.MODULES.values() for name in listed.split()}
    moved = {name for _, listed in names.MOVED.values() for name in listed.split()}
    assert set(names.DOCUMENTED.split()) <= documented | moved | {"RuntimeContext", "RuntimeModel"}
    for module, listed in names.MOVED.values():
        found = importlib.import_module(module)
        assert all(hasattr(found, name) for name in listed.split())


def test_modules_are_attributes_of_the_package():
    """Without imports of their own, as in a process that has just begun."""
    code = f"""
import covertreex
for module in {list(names.MODULES)}:
    thing = covertreex
    for name in module.split(".")[1:]:
        thing = getattr(thing, name)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    # A module that is imported replaces no function.
    for module, name in [("algo", "batch_delete"), ("algo", "batch_insert"), ("queries", "knn")]:
        importlib.import_module(f"covertreex.{module}.{name}")
        assert callable(getattr(getattr(covertreex, module), name))


def test_members_of_classes():
    tree = PCCT(Runtime()).fit(points)
    made = {
        "CoverTree": CoverTree(Runtime()).fit(points),
        "PCCT": tree,
        "Runtime": Runtime(),
        "Residual": Residual(),
        "RBF": RBF(),
        "Matern52": Matern52(),
        "ResidualCoverTree": ResidualCoverTree(points),
        "EngineCoverTree": build_tree(points),
        "PCCTree": tree.tree,
        "TreeLogStats": tree.tree.stats,
        "ResidualCorrHostData": build_residual_backend(points, seed=0, inducing_count=9, variance=1.0, lengthscale=1.0),
    }
    for kind, listed in names.MEMBERS.items():
        thing = made.get(kind, getattr(covertreex, kind))
        for name in listed.split():
            assert hasattr(thing, name), (kind, name)


def test_numbers_of_kernels():
    class Own(kernels_module.Kernel):
        def __call__(self, X1, X2=None):
            raise NotImplementedError

    numbers = [
        kind.kernel_type for kind in (RBF(), Matern52(2.0), Own(), kernels_module.Matern12(), kernels_module.Matern32)
    ]
    assert numbers == [0, 1, 0, -1, -1]
    with pytest.raises((TypeError, ValueError), match="kernel_type: expected one of"):
        build_residual_backend(
            points,
            seed=0,
            inducing_count=9,
            variance=1.0,
            lengthscale=1.0,
            kernel_type=kernels_module.Matern32.kernel_type,
        )


def test_core_knows_nothing_of_older_names():
    for module in (
        core_tree,
        kernels_module,
        *map(importlib.import_module, ("covertreex._settings", "covertreex._telemetry")),
    ):
        assert not any("legacy" in str(getattr(thing, "__module__", "")) for thing in vars(module).values())
    assert "__new__" not in vars(core_tree.CoverTree)


@pytest.mark.parametrize("name", ["cover_tree", "load", "residual_tree"])
def test_functions_can_be_pickled(name):
    function = getattr(covertreex, name)
    assert pickle.loads(pickle.dumps(function)) is function
