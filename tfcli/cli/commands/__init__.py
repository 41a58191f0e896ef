"""A module for each command, or for each group of them; `app` registers them."""
