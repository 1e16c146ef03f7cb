"""Readers of shards and of annotated photographs, and the views that networks are trained on."""
