"""Runs on the disk: `checkpoints/RUN/`, its steps, its metrics, and finding the right one."""
