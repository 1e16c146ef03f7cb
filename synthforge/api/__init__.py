"""What `import synthforge` offers in Python: data sets, single faces, models. See docs/api.md."""
