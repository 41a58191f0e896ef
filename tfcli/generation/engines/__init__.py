"""Engines compute logits: ids in, the scores of the next token out."""
