"""Builds the Swift library and puts it into the wheel."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SwiftLibraryHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the library into a wheel: this machine's, or one for each of the x86-64 levels in COVERTREE_LEVELS."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the library; the wheel is for this platform, and for every Python 3."""
        project = Path(self.root).parent
        if not (project / "Package.swift").exists():
            self.app.abort(
                f"covertree: the Swift sources are not beside {self.root}; install from a clone: pip install ./python"
            )
        staged = project / "build" / "staged"
        command = [str(project / "scripts" / "stage"), str(staged), os.environ.get("COVERTREE_LEVELS", "")]
        # What goes wrong is said by the script, in a few lines: a traceback would hide it.
        try:
            status = subprocess.run(command, check=False).returncode
        except OSError as error:
            self.app.abort(f"covertree: the library builds on Linux, with bash and make: {error}")
        if status:
            self.app.abort("covertree: the library was not built, see above")
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["force_include"][str(staged)] = "covertreex/lib"
