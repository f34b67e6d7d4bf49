"""Where the program begins, as `mediaconv` and as `python -m mediaconv`: quiet, however early Ctrl-C comes.

Imports nothing before it can be interrupted.
"""

from __future__ import annotations

import os
import sys

INTERRUPTED = 130


def main() -> None:
    """The `mediaconv` program."""
    if os.name == "nt":
        sys.exit(
            "mediaconv runs on Linux and macOS (it locks and renames files as POSIX has it); on Windows use "
            "WSL: wsl --install, then mediaconv inside it"
        )
    try:
        from mediaconv.cli.main import main as program

        program()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
