"""Authoring of the embedded head: modules that `scripts/build_anthro` runs."""
