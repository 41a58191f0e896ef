"""tfcli trains a Transformer language model from scratch on your own text, and writes with it.

The rooms of the house, from the ground up; each imports only from those below it, or from those
to its left on the same level (`tests/test_architecture.py` holds the rule):

    5  cli          one module a command: parse, call the library, render
    4  training     the plan, the batches, the optimizers, the loop
       generation   a request, sampling, the engines, text streaming out
    3  runs         a run's folder: its steps, its metrics, the newest valid step
    2  text         files -> documents -> token ids
       model        the Transformer, its configuration, its cost
       runtime      device, number format, memory, threads, processes
    1  files        the only writer: atomic files and folders, locks, manifests
    0  errors       everything that a user can be told
"""

__version__ = "0.1.0"
