"""Looking inside a run: where a text comes from, and what a model knows by heart. Figures only."""
