"""Scripts for every figure that the README and the docs claim: `python -m benchmarks.NAME`.

Each prints a Markdown table, with what it was measured on, for docs/benchmarks.md. `--tiny` runs
the same code to its end in seconds, on the smallest sizes; those figures mean nothing.
"""

import tfcli.__main__  # noqa: F401  its settings for threads, before numpy or torch is loaded
