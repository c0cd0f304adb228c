"""Loads the test modules of installed packages with covertree behind the names of their searches.

Only names are translated: the tests run as they are in the package. Errors and warnings are
compared by type, as their wording differs.
"""

import contextlib
import importlib
import importlib.metadata
import sys
import types
from pathlib import Path

import pytest


def load(name, namespace, *, package, version, names):
    """Run the source of an installed test module in a namespace, from which pytest collects its tests.

    Parameters
    ----------
    name : str
        The module.
    package, version : str
        The distribution that it comes with, and the release that the list of tests left out is about. With another
        release the module is skipped.
    names : dict
        By the names of modules that the tests import: other values of their attributes.
    """
    pytest.importorskip(name.partition(".")[0])
    found = importlib.metadata.version(package)
    if found.split(".")[:2] != version.split("."):
        pytest.skip(f"the list of tests left out is about {package} {version}, not {found}", allow_module_level=True)
    # The modules that the tests import are imported now, so that they keep their own searches.
    path = pytest.importorskip(name, reason=f"{package} is installed without its tests").__file__
    source = Path(path).read_text(encoding="utf-8")
    with contextlib.ExitStack() as stack:
        for module, replaced in names.items():
            stack.enter_context(_replaced(module, replaced))
        exec(compile(source, path, "exec"), namespace)
    namespace["pytest"] = _AnyWording()


@contextlib.contextmanager
def _replaced(name, names):
    """Have a module's importers get a copy of it with other values of some names."""
    module = importlib.import_module(name)
    copy = types.ModuleType(name)
    vars(copy).update({**vars(module), **names})
    parent, _, last = name.rpartition(".")
    sys.modules[name] = copy
    setattr(sys.modules[parent], last, copy)
    try:
        yield
    finally:
        sys.modules[name] = module
        setattr(sys.modules[parent], last, module)


class _AnyWording:
    """The module pytest, but for the wording of expected errors and warnings."""

    def __getattr__(self, name):
        return getattr(pytest, name)

    @staticmethod
    def raises(kind, *arguments, match=None, **options):
        del match
        return pytest.raises(kind, *arguments, **options)

    @staticmethod
    def warns(kind, *arguments, match=None, **options):
        del match
        return pytest.warns(kind, *arguments, **options)
