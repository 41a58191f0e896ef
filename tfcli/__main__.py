"""`python -m tfcli`, and the `tfcli` console script."""

import os
import sys
import time

# MKL rounds by how memory happens to be aligned unless told not to; the same seed has to give the
# same bits. Read when torch is loaded; costs nothing that could be measured.
os.environ.setdefault("MKL_CBWR", "AUTO")

# The threads of numpy's matrix products wait for more by spinning, by default for a tenth of a
# second, on cores that the next thing needs.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")

STARTED = time.monotonic()  # a --time budget counts from here, imports included


def main() -> None:
    """Runs the command line and exits with its code."""
    from tfcli.cli.app import run

    sys.exit(run(sys.argv[1:], started=STARTED))


if __name__ == "__main__":
    main()
