"""generate --preview: nine faces of a configuration in one picture."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click


def write_preview(config: Any, path: Path, device: str = "auto", batch_size: int = 0) -> None:
    """Write nine faces of a `GenerateConfig` to the PNG `path`, and say where."""
    from synthforge.cli.bars import bar
    from synthforge.pipeline.source import SceneSource
    from synthforge.report.draw import write_png
    from synthforge.report.preview import TILE, preview

    small = replace(config, resolution=min(config.resolution, TILE))
    with bar("face") as progress:
        picture = preview(SceneSource(small, device, batch_size), progress)
    write_png(path, picture)
    click.echo(f"wrote {path}: nine faces of this configuration; no data set was made")
