"""`python -m tfcli`, and the `tfcli` console script."""

import os
import sys
import time

# MKL rounds by how memory happens to be aligned unless told not to; the same seed has to give the
# same bits. Read when torch is loaded; costs nothing that could be measured.
os.environ.setdefault("MKL_CBWR", "AUTO")

# Threads that wait for their next piece of work do so by spinning, for milliseconds by default: on
# a machine with something else to do they hold the very cores that the others wait for, and a
# training takes many times as long. Now they wait long enough for the next piece, and then sleep:
# those of OpenMP, which are torch's and our decoder's, and those of numpy's products.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")

# libgomp complains about a number that is none, on stderr, and then uses all cores just the same.
threads = os.environ.get("OMP_NUM_THREADS", "1").split(",")[0].strip()
if not threads.isdecimal() or int(threads) == 0:
    del os.environ["OMP_NUM_THREADS"]

STARTED = time.monotonic()  # a --time budget counts from here, imports included


def main() -> None:
    """Runs the command line and exits with its code."""
    from tfcli.cli import signals

    with signals.exit_cleanly_on_signals():
        try:
            from tfcli.cli.app import run

            code = run(sys.argv[1:], started=STARTED)
        except KeyboardInterrupt:  # so early that nothing has begun
            code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
