"""synthforge assets: model files that users bring, kept under their own licences."""

import sys
from pathlib import Path

import click

from synthforge.assets_store import ASSETS, asset_kind, asset_path, store_dir
from synthforge.errors import AssetError


@click.group()
def assets() -> None:
    """Add, list and check licensed model files.

    They are kept in $SYNTHFORGE_HOME, by default ~/.local/share/synthforge.
    """


@assets.command()
@click.argument("name")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def add(name: str, path: Path) -> None:
    """Convert the files at PATH into the asset NAME.

    ict-facekit: PATH is a clone of github.com/ICT-VGL/ICT-FaceKit.
    """
    asset_kind(name)
    from synthforge.heads.ict import install_ict

    stored, new = install_ict(path)
    click.echo(f"{name}: {'stored' if new else 'already stored'} in {stored}")
    click.echo("next: synthforge generate --head ict")


@assets.command(name="list")
def list_assets() -> None:
    """Show what can be added, its licence, and where its owner publishes it."""
    for kind in ASSETS.values():
        state = "installed" if asset_path(kind.name).is_file() else "not installed"
        click.echo(f"{kind.name}  {state}\n  {kind.what}, licence {kind.license}, {kind.published_at}")
    click.echo(f"folder: {store_dir()}")


@assets.command()
def check() -> None:
    """Read every installed asset; exit code 1 if one is damaged."""
    damaged = False
    for name in ASSETS:
        path = asset_path(name)
        if not path.is_file():
            click.echo(f"{name}: not installed")
            continue
        from synthforge.heads.ict import check_ict

        try:
            click.echo(f"{name}: ok, {check_ict(path)}")
        except AssetError as error:
            click.echo(f"{name}: {error}", err=True)
            damaged = True
    sys.exit(int(damaged))
