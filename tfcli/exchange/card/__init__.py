"""The card of a run: its facts, their words, Markdown, and the README.md of an export."""
