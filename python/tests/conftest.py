import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from covertreex import config, reset_residual_metric, set_num_threads

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", deadline=None, max_examples=5000, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def rng():
    return np.random.default_rng(20261121)


@pytest.fixture
def defaults_after():
    """Restore what a test sets for the process by names of covertreex 0.4.5."""
    yield
    reset_residual_metric()
    config.reset_runtime_context()


@pytest.fixture
def default_threads():
    """Restore the number of threads that a test sets."""
    yield
    set_num_threads(0)


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory):
    """Give a function that compiles a C file of this folder to be loaded before the C library, and says where it is."""
    compiler = next((one for one in ("cc", "gcc", "clang") if shutil.which(one)), None)
    built = {}

    def build(name):
        if compiler is None:
            pytest.skip("a C compiler is needed")
        if name not in built:
            built[name] = tmp_path_factory.mktemp("preloaded") / f"{name}.so"
            source = Path(__file__).with_name(name)
            command = [compiler, "-shared", "-fPIC", "-O1", str(source), "-o", str(built[name]), "-ldl", "-lpthread"]
            subprocess.run(command, check=True)
        return built[name]

    return build


@pytest.fixture(scope="session")
def shim(preloaded):
    """``crash.c``, to be loaded before the C library."""
    return preloaded("crash.c")
