"""Rasterization: triangles -> front-most surface per sample point."""

from synthforge.render.rasterize import rasterize

__all__ = ["rasterize"]
