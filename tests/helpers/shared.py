"""Development material that is not part of the repository: tests that need it skip without it."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SYNTHFORGE_SHARED", Path(__file__).resolve().parents[3] / "shared"))


def shared_path(name: str) -> Path:
    """Path of a shared file or folder; skips the calling test when it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is absent (set SYNTHFORGE_SHARED to the folder that holds it)")
    return path
