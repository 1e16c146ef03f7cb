"""Packages of other people, as pip would leave them: metadata with entry points where Python looks."""

import importlib
from pathlib import Path


def install(folder: Path, package: str, points: dict[str, dict[str, str]]) -> None:
    """Write the metadata of `package` into `folder` (to be on sys.path): group -> name -> value."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in row.items()) for group, row in points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    importlib.invalidate_caches()
