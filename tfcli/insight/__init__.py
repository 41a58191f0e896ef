"""Looking inside a run: where a text comes from, what a model knows by heart and makes of a text.

Figures only.
"""
