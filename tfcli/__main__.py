"""`python -m tfcli`, and the `tfcli` console script."""

import os
import sys
import time

# MKL rounds by how memory happens to be aligned unless told not to; the same seed has to give the
# same bits. Read when torch is loaded; costs nothing that could be measured.
os.environ.setdefault("MKL_CBWR", "AUTO")

# Threads that wait for their next piece of work do so by spinning, for milliseconds by default: on a
# machine that does something else as well they hold the very cores that the others wait for, and a
# training takes many times as long. Long enough for the next piece, then sleep: OpenMP, as torch, its
# products and our decoder use it, and numpy's products.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")

STARTED = time.monotonic()  # a --time budget counts from here, imports included


def main() -> None:
    """Runs the command line and exits with its code."""
    from tfcli.cli.app import run

    sys.exit(run(sys.argv[1:], started=STARTED))


if __name__ == "__main__":
    main()
