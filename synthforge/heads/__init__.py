"""Head models: parameters -> vertices. `load_head(name)` gives one by name."""

from synthforge.heads.registry import HEADS, load_head

__all__ = ["HEADS", "load_head"]
