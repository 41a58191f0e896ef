"""The command line: parse, call the library, render.

`app` is the program; `commands/` has a module for each command, and `command` makes what the
parser reads of a dataclass of options. `training_session` and `generation_session` are
what `train`, `generate` and `demo` have in common; `streams` is the only way out.
"""
