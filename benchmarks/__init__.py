"""Scripts for every figure that the README and the docs claim: `python -m benchmarks.NAME`."""
