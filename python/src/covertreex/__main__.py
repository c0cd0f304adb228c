"""The command line: ``covertreex``, or ``python -m covertreex``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, if its packages are installed."""
    try:
        from .cli import run
    except ImportError as error:
        print(f"covertreex: the command line needs pip install 'covertreex[cli]' ({error})", file=sys.stderr)
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
