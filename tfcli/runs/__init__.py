"""Runs on the disk: `checkpoints/RUN/` with its steps and metrics, and how to find them."""
