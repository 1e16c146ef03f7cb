"""synthforge assets: model files that users bring, kept under their own licences."""

import sys
from pathlib import Path

import click

from synthforge.assets_store import ASSETS, AssetKind, asset_kind, asset_path, store_dir
from synthforge.errors import AssetError


@click.group()
def assets() -> None:
    """Add, list and check licensed model files.

    They are kept in $SYNTHFORGE_HOME, by default ~/.local/share/synthforge.
    """


@assets.command()
@click.argument("name")
@click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
def add(name: str, paths: tuple[Path, ...]) -> None:
    """Convert the files at PATH into the asset NAME.

    Nothing in them is ever executed, whatever they hold.

    \b
    ict-facekit  a clone of github.com/ICT-VGL/ICT-FaceKit
    next3d       the network pickle, next3d_ffhq_512.pkl
    flame        the folder of FLAME's files, or the files themselves
    gnm          the folder of GNM's files (or a clone of github.com/google/GNM), or the files themselves
    """
    kind = asset_kind(name)
    stored, new = kind.install(paths)
    click.echo(f"{name}: {'stored' if new else 'already stored'} in {stored}")
    click.echo(f"  {kind.check()}")
    click.echo(f"licence: {kind.license}")
    click.echo(f"next: {kind.next_step}")


@assets.command(name="list")
def list_assets() -> None:
    """Show what can be added, its licence, and where its owner publishes it."""
    for kind in ASSETS.values():
        state = "installed" if asset_path(kind.name).exists() else "not installed"
        click.echo(f"{kind.name}  {state}\n  {kind.what}, licence {kind.license}, {kind.published_at}")
    click.echo(f"folder: {store_dir()}")


@assets.command()
def check() -> None:
    """Read every installed asset and say what is missing; exit code 1 if one is damaged."""
    damaged = False
    for name, kind in ASSETS.items():
        if not asset_path(name).exists():
            click.echo(_missing(kind))
            continue
        try:
            click.echo(f"{name}: ok, {kind.check()}")
        except AssetError as error:
            click.echo(f"{name}: {error}", err=True)
            damaged = True
    sys.exit(int(damaged))


def _missing(kind: AssetKind) -> str:
    lines = [f"{kind.name}: not installed: {kind.what}; licence: {kind.license}"]
    lines += [f"  {part.file}: {part.purpose}; {part.published_at}" for part in kind.parts]
    return "\n".join([*lines, f"  then run: synthforge assets add {kind.name} PATH"])
