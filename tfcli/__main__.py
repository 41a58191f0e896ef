"""`python -m tfcli`, and the `tfcli` console script."""

import sys
import time

STARTED = time.monotonic()  # a --time budget counts from here, imports included


def main() -> None:
    """Runs the command line and exits with its code."""
    from tfcli.cli.app import run

    sys.exit(run(sys.argv[1:], started=STARTED))


if __name__ == "__main__":
    main()
