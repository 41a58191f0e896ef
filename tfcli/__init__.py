"""tfcli trains a Transformer language model from scratch on your own text, and generates with it.

The packages by level, the highest first. Each imports only from lower levels, and from those
listed before it on its own (`tests/test_architecture.py` enforces it):

    5  cli          the commands: parse, call the library, render
    4  training     the plan, samplers and objectives, optimizers, the loop
       generation   requests, sampling, engines, streaming
       exchange     Hugging Face and GGUF, in and out
    3  runs         a run's folder: its steps, its metrics, the newest valid step
    2  text         files -> documents -> token ids
       stories      what the demo trains on, told by a grammar that knows their probability
       model        the Transformer, its configuration, its parameters, its cost
    1  files        the only writer: atomic files and folders, locks, manifests
       runtime      device, number format, memory, threads, distributed processes
    0  errors       everything that a user can be told
       options      how an option is declared
"""

__version__ = "0.1.0"
