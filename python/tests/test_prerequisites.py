"""A machine on which something is missing that the build needs: a few lines say what, and how to get it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
if not (PROJECT / "Makefile").exists():
    pytest.skip("the scripts are not here: these are tests of a checkout", allow_module_level=True)

WANTED = re.search(r"swift-tools-version: *([\d.]+)", (PROJECT / "Package.swift").read_text())[1]
# What scripts need on any Linux.
COMMANDS = [
    "bash", "cat", "cp", "cut", "dirname", "env", "find", "grep", "head", "id", "ln", "make", "mkdir", "mv", "readlink",
    "rm", "sed", "sh", "sort", "touch", "tr", "true", "uname",
]  # fmt: skip


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "bin")


class Machine:
    """A folder of commands, which is all of PATH. Without apt-get, nothing is installed."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        for command in COMMANDS:
            (folder / command).symlink_to(shutil.which(command))

    def has(self, command, script):
        (self.folder / command).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / command).chmod(0o755)

    def lacks(self, command):
        (self.folder / command).unlink()

    def has_swift(self, version="6.1", clang=True):
        self.has("swift", f"echo 'Swift version {version} (swift-{version}-RELEASE)'; echo 'Target: x86_64'")
        if clang:
            self.has("clang", "exit 0")

    def run(self, *command, **options):
        done = subprocess.run(
            [str(one) for one in command],
            env={"PATH": str(self.folder), "HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
            **options,
        )
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what a build begins with, in which nothing was built yet."""
    copy = tmp_path_factory.mktemp("checkout") / "covertree"
    copy.mkdir()
    for name in ("Sources", "include", "scripts", "examples", "python"):
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    for name in ("Makefile", "Package.swift"):
        shutil.copy(PROJECT / name, copy / name)
    return copy


def assert_says(done, *words, lines=4):
    status, said = done
    assert status not in (0, 127), said
    for word in words:
        assert word in said
    assert "Traceback" not in said
    assert "command not found" not in said
    # The number of lines of make itself varies with its parallel jobs.
    assert len([line for line in said.splitlines() if not line.startswith("make")]) <= lines, said


WITHOUT_SWIFT = {
    "none": (None, "there is no 'swift' in PATH"),
    "old": ("echo 'Swift version 5.10.1 (swift-5.10.1-RELEASE)'", "is version 5.10.1"),
    "older, by another name": ("echo 'swift-driver version: 1.90 Apple Swift version 5.9 (x)' >&2", "is version 5.9"),
    "another program": ("echo 'python-swiftclient 4.2.0'", "is another program: python-swiftclient 4.2.0"),
    "broken": ("echo 'swift: error while loading shared libraries: libz.so'; exit 127", "does not run: swift: error"),
}


@pytest.mark.parametrize("swift", WITHOUT_SWIFT)
@pytest.mark.parametrize("script", ["need-swift", "need-sqlite", "stage"])
def test_swift_is_looked_for_first(machine, tmp_path, swift, script):
    says, expected = WITHOUT_SWIFT[swift]
    machine.has("clang", "exit 1")
    if says is not None:
        machine.has("swift", says)
    done = machine.run(PROJECT / "scripts" / script, *([tmp_path / "staged", ""] if script == "stage" else []))
    assert_says(done, f"Swift {WANTED} or later is needed", expected, "https://www.swift.org/install/linux", lines=2)
    assert "sqlite" not in done[1]


@pytest.mark.parametrize("version", [WANTED, "6.0.3", "6.10-dev", "10.0"])
def test_versions_of_swift_that_serve(machine, version):
    machine.has_swift(version)
    assert machine.run(PROJECT / "scripts" / "need-swift") == (0, "")


def test_the_commands_of_the_makefile(machine, checkout):
    for target in ("demo", "lib", "test"):
        done = machine.run("make", "-C", checkout, target)
        assert_says(done, f"covertree: Swift {WANTED} or later is needed, and there is no 'swift'")
    # A build checks again, however long ago the first check was.
    (checkout / "build").mkdir(exist_ok=True)
    for stamp in ("sqlite", "headers"):
        (checkout / "build" / stamp).touch()
    try:
        assert_says(machine.run("make", "-C", checkout, "lib"), "there is no 'swift' in PATH")
    finally:
        shutil.rmtree(checkout / "build")


@pytest.mark.parametrize("swift", [None, "5.10"])
def test_pip_install(machine, checkout, swift):
    pytest.importorskip("hatchling")
    pytest.importorskip("pip")
    if swift:
        machine.has_swift(swift)
    pip = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check"]
    install = ["install", "--no-build-isolation", "--no-deps", "--target", machine.folder / "target"]
    status, said = machine.run(*pip, *install, checkout / "python")
    assert status != 0
    assert f"Swift {WANTED} or later is needed" in said
    assert "Traceback" not in said
    # Between pip's own lines there are three or so of ours.
    ours = said[said.index("lines of output]") : said.index("[end of output]")]
    assert len(ours.splitlines()) <= 6, said


def test_the_sources_are_not_there(machine, checkout, tmp_path):
    pytest.importorskip("hatchling")
    shutil.copytree(checkout / "python", tmp_path / "alone" / "python")
    done = machine.run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=tmp_path / "alone" / "python")
    assert_says(done, "install from a clone: pip install ./python")


def test_a_compiler_that_is_missing_is_not_a_header_that_is(machine):
    machine.has_swift(clang=False)
    for script in ("need-swift", "need-sqlite"):
        done = machine.run(PROJECT / "scripts" / script)
        assert_says(done, "Swift's C compiler is missing", "no 'clang' in PATH")
        assert "sqlite" not in done[1]


def test_the_header_of_sqlite(machine):
    machine.has_swift()
    assert machine.run(PROJECT / "scripts" / "need-sqlite") == (0, "")
    machine.has("clang", "exit 1")
    done = machine.run(PROJECT / "scripts" / "need-sqlite")
    assert_says(done, "sqlite3.h", "is missing", "sudo apt-get install libsqlite3-dev")
    # Installed, and it does not compile all the same.
    machine.has("apt-get", "exit 0")
    machine.has("id", "echo 0")
    machine.has("clang", "echo 'sqlite3.h:1: error: too old' >&2; exit 1")
    assert_says(machine.run(PROJECT / "scripts" / "need-sqlite"), "does not compile", "error: too old")
    machine.has("apt-get", "echo 'E: no network' >&2; exit 100")
    assert_says(machine.run(PROJECT / "scripts" / "need-sqlite"), "apt-get could not install libsqlite3-dev")


@pytest.mark.parametrize(
    ("option", "is_", "expected"),
    [("-s", "Darwin", "builds on Linux only, and this is Darwin"), ("-m", "armv7l", "this processor is armv7l")],
)
def test_systems_and_processors(machine, option, is_, expected):
    machine.has_swift()
    machine.lacks("uname")
    machine.has("uname", f"case $1 in {option}) echo {is_} ;; -s) echo Linux ;; *) echo x86_64 ;; esac")
    assert_says(machine.run(PROJECT / "scripts" / "need-swift"), expected)


def test_commands(machine, tmp_path):
    machine.has_swift()
    machine.lacks("make")
    done = machine.run(PROJECT / "scripts" / "stage", tmp_path / "staged", "")
    assert_says(done, "the command 'make' is missing", "apt-get install make")
    done = machine.run(PROJECT / "scripts" / "need-commands", "sed", "strip")
    assert_says(done, "the command 'strip' is missing", "apt-get install binutils")
    machine.has("strip", "exit 0")
    assert machine.run(PROJECT / "scripts" / "need-commands", "sed", "strip") == (0, "")


PYTHONS = {
    "none": (None, "Python 3.9 or later, as 'python3', is missing"),
    "old": ("echo 3.8", "Python 3.9 or later is needed, and"),
    "without venv": ("case $2 in *version_info*) echo 3.12 ;; *) exit 1 ;; esac", "the modules venv and ensurepip"),
}


@pytest.mark.parametrize("python", PYTHONS)
def test_python(machine, tmp_path, python):
    says, expected = PYTHONS[python]
    if says is not None:
        machine.has("python3", says)
    done = machine.run(PROJECT / "scripts" / "make-venv", "python3", tmp_path / "venv")
    assert_says(done, expected)
    assert not (tmp_path / "venv").exists()


def test_a_python_that_serves(machine, tmp_path):
    machine.has("python3", 'case $2 in *version_info*) echo 3.10 ;; venv) mkdir "$3" ;; esac')
    assert machine.run(PROJECT / "scripts" / "make-venv", "python3", tmp_path / "venv") == (0, "")
    assert (tmp_path / "venv").is_dir()
    assert os.listdir(tmp_path / "venv") == []
