"""Labels from geometry: nothing here looks at colours."""

from synthforge.annotate.frame import annotate

__all__ = ["annotate"]
