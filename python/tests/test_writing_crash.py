"""A process that is killed while it writes a file: the old file stays, and the next save removes what is left."""

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from covertreex import cover_tree, telemetry

POINTS = np.random.default_rng(0).random((60, 2))
KINDS = ["tree", "log"]  # one is written by the library, one by Python
NAMELESS = pytest.mark.parametrize("nameless", [True, False], ids=["nameless drafts", "named drafts"])

BEGIN = """
    import ctypes, os, sys
    from pathlib import Path
    import numpy as np
    from covertreex import cover_tree, telemetry

    crash, folder, kind = ctypes.CDLL(None), Path(sys.argv[1]), sys.argv[2]
    crash.crash_nameless(int(sys.argv[3]))
    path, points = folder / "file", np.random.default_rng(0).random((60, 2))
    saved = []
    for n in (30, 60):
        with telemetry.record() as log:
            tree = cover_tree(points[:n])
        saved.append(tree if kind == "tree" else log)
"""


def run(shim, body, *arguments, first="", before=()):
    """The words that a program prints, which `first` begins."""
    program = first + textwrap.dedent(BEGIN) + textwrap.dedent(body)
    done = subprocess.run(
        [*before, sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True, text=True, env={**os.environ, "LD_PRELOAD": str(shim)}, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@NAMELESS
@pytest.mark.parametrize("kind", KINDS)
def test_killed_before_each_call_that_writes(shim, tmp_path, kind, nameless):
    body = """
        contents = []
        for one in saved:
            one.save(path)
            contents.append(path.read_bytes())
        assert contents[0] != contents[1]
        killed, left, seen = 0, 0, set()
        while True:
            saved[0].save(path)
            assert os.listdir(folder) == ["file"] and path.read_bytes() == contents[0]
            child = os.fork()
            if not child:
                crash.crash_after(killed)
                saved[1].save(path)
                crash.crash_after(-1)
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert code in (0, -9), (killed, code)
            assert path.read_bytes() in contents, killed
            seen.add(path.read_bytes() == contents[1])
            names = os.listdir(folder)
            assert len(names) <= 2, names
            left += len(names) - 1
            if code == 0:
                break
            killed += 1
        print(killed, left, *sorted(seen))
    """
    killed, left, *seen = run(shim, body, tmp_path, kind, int(nameless))
    # write, fsync, linkat, rename, and fsync of the folder
    assert int(killed) >= 4 + nameless
    # A nameless draft has a name right before it is renamed. The folder is written to the disk when no draft is left.
    assert int(left) == (1 if nameless else int(killed) - 1)
    assert seen == ["False", "True"]
    assert os.listdir(tmp_path) == ["file"]


@NAMELESS
@pytest.mark.parametrize("kind", KINDS)
def test_names_in_use_are_skipped(shim, tmp_path, kind, nameless):
    body = """
        crash.crash_names_in_use(5)
        saved[0].save(path)
        print(crash.crash_names_in_use_left(), *os.listdir(folder))
    """
    assert run(shim, body, tmp_path, kind, int(nameless)) == ["0", "file"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_with_the_number_of_a_killed_one_saves(shim, tmp_path, kind):
    before = ("unshare", "--pid", "--fork")
    if shutil.which("unshare") is None or subprocess.call([*before, "true"], stderr=subprocess.DEVNULL):
        pytest.skip("only root has process numbers of its own")
    # Before there are threads, which have numbers, too.
    first = "import os\nif child := os.fork():\n    raise SystemExit(os.waitpid(child, 0)[1] != int('CODE'))\n"
    killed = """
        print(os.getpid(), flush=True)
        crash.crash_after(1)  # after the first write
        saved[0].save(path)
    """
    number = run(shim, killed, tmp_path, kind, 0, first=first.replace("CODE", "9"), before=before)
    assert len(os.listdir(tmp_path)) == 1
    saving = """
        saved[1].save(path)
        print(os.getpid(), *os.listdir(folder))
    """
    assert run(shim, saving, tmp_path, kind, 0, first=first.replace("CODE", "0"), before=before) == [*number, "file"]


@pytest.fixture(params=KINDS)
def save(request, tmp_path):
    tree = cover_tree(POINTS)
    with telemetry.record() as log:
        tree.knn(2)
    saved = tree if request.param == "tree" else log
    return lambda: saved.save(tmp_path / "file")


def test_a_draft_that_is_being_written_is_not_removed(save, tmp_path):
    draft = tmp_path / ".covertree-0a1b2c3d4e5f6.partial"
    draft.write_bytes(b"some")
    with open(draft, "ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        save()
        assert sorted(os.listdir(tmp_path)) == [draft.name, "file"]
        assert draft.read_bytes() == b"some"
    save()
    assert os.listdir(tmp_path) == ["file"]


def test_nothing_but_drafts_is_removed(save, tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"x")
    for name in ("covertree-1.partial", ".covertree-.partial", ".covertree-A.partial", ".covertree-1.part",
                 ".covertree-1.partial2", ".covertree-1.2.partial", f".covertree-{'1' * 17}.partial"):  # fmt: skip
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".covertree-1.partial").symlink_to("elsewhere")
    (tmp_path / ".covertree-2.partial").mkdir()
    os.mkfifo(tmp_path / ".covertree-3.partial")
    before = set(os.listdir(tmp_path))
    save()
    assert set(os.listdir(tmp_path)) == before | {"file"}
    assert (tmp_path / "elsewhere").read_bytes() == b"x"


@pytest.mark.parametrize("rights", [0o555, 0o333], ids=oct)
def test_a_folder_with_few_rights(save, tmp_path, rights):
    """One that may not be written to gives an error; one that may not be read is written to."""
    folder = tmp_path
    save()
    before = (folder / "file").read_bytes()
    (folder / ".covertree-1.partial").write_bytes(b"x")
    for one in folder.parents[:3]:
        one.chmod(one.stat().st_mode | stat.S_IXOTH)
    folder.chmod(rights)
    child = os.fork()
    if child == 0:  # as another user: root may write anywhere
        code = 77
        try:
            if os.geteuid() == 0:
                for name in ("file", ".covertree-1.partial"):
                    os.chown(folder / name, 65534, 65534)
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            code = 0
            save()
        except PermissionError:
            code += 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    folder.chmod(0o755)
    if code >= 77:
        pytest.skip("root may write anywhere, and cannot become anybody else here")
    assert code == (1 if rights == 0o555 else 0)
    assert (folder / "file").read_bytes() == before
    assert sorted(os.listdir(folder)) == [".covertree-1.partial", "file"]
