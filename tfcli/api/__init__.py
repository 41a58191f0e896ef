"""What `import tfcli` offers to a notebook or a program; `docs/python.md` has examples."""
