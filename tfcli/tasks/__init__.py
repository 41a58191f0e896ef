"""Small tasks whose answers can be checked: pairs of prompt and answer to train and to test on."""

from tfcli.tasks.task import TASKS, Task, TaskOptions, make_pairs

__all__ = ["TASKS", "Task", "TaskOptions", "make_pairs"]
