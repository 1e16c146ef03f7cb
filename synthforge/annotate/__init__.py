"""Labels from geometry: nothing here looks at colours."""

from synthforge.annotate.frame import SOFT_MASKS, annotate
from synthforge.annotate.volume import HAIR_OR_OTHER

__all__ = ["HAIR_OR_OTHER", "SOFT_MASKS", "annotate"]
