"""Labels from geometry: nothing here looks at colours."""

from synthforge.annotate.frame import SOFT_MASKS, annotate

__all__ = ["SOFT_MASKS", "annotate"]
