"""The Transformer, its configuration and named families, and what a configuration costs."""
