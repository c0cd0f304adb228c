"""Fixtures of the packages whose tests run here, and the list of tests that are left out."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def global_dtype(request):
    return request.param


@pytest.fixture
def global_random_seed():
    return 42


def left_out():
    """Lines of left_out.txt as patterns, with their reasons."""
    reason, patterns = None, []
    for line in (FOLDER / "left_out.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            reason = line.strip("[]")
        elif line and not line.startswith("#"):
            parts = map(re.escape, line.split("*"))
            patterns.append((line, re.compile(".*".join(parts)), reason))
    return patterns


def pytest_configure(config):
    for marker in ("fail_slow(seconds)", "thread_unsafe"):
        config.addinivalue_line("markers", f"{marker}: of scipy and scikit-learn; ignored here")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """A listed test must fail, and a line must be of a test."""
    patterns, used = left_out(), set()
    for item in items:
        if item.path.parent == FOLDER:
            name = f"{item.path.name}::{item.nodeid.partition('::')[2]}"
            for line, pattern, reason in patterns:
                if pattern.fullmatch(name):
                    item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
                    used.add(line)
                    break
    if any("::" in argument for argument in config.args):
        return
    collected = {item.path.name for item in items}
    for line, _, _ in patterns:
        if line not in used and line.partition("::")[0] in collected:
            raise pytest.UsageError(f"{FOLDER.name}/left_out.txt: no test is {line}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Leave out the traceback of an expected failure: pytest would parse a file of thousands of lines for it."""
    try:
        return (yield)
    except (Exception, pytest.fail.Exception) as error:
        if item.get_closest_marker("xfail") is None:
            raise
        raise pytest.fail.Exception(f"{type(error).__name__}: {error}", pytrace=False) from None
