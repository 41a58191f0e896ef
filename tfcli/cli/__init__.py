"""The command line: parse, call the library, render.

`app` is the program; `commands/` has a module for each command, and `command` and `options` turn a
dataclass of options into what the parser reads. `training_session` and `generation_session` are
what `train`, `generate` and `demo` have in common; `streams` is the only way out.
"""
