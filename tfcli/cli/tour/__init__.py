"""The tour through a model: what is said and shown at each step, and how a terminal shows it."""
