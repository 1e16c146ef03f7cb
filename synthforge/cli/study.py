"""`synthforge study`."""

from pathlib import Path

import click

from synthforge.cli.help import FOLDER, data_option, out_option, set_option
from synthforge.cli.out import require_writable


@click.command()
@click.argument("config")
@click.option(
    "--train", multiple=True, type=FOLDER, help="Folder of photographs to adapt on; may be repeated."
)
@data_option("Folder of photographs to score on; may be repeated.", "--test", "test")
@click.option(
    "--shards",
    multiple=True,
    metavar="NAME=DIR",
    help="Generated data set that backbones train on, by the name the study has for it.",
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    metavar="NAME=DIR",
    help="Finished training run that stands for the backbone NAME.",
)
@click.option(
    "--labels-from",
    "detector",
    metavar="MODULE:FUNCTION",
    help="Your landmark detector, for backbones with `labels: detector`: RGB image -> 68 x, y.",
)
@out_option("Folder of this study; by default runs/study-CONFIG.")
@set_option
def study(
    config: str,
    train: tuple[Path, ...],
    test: tuple[Path, ...],
    shards: tuple[str, ...],
    runs: tuple[str, ...],
    detector: str | None,
    out: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Run the experiment CONFIG: a grid of methods, amounts of photographs and seeds.

    CONFIG is a YAML file or a name from configs/study. Run it again to go on where it stopped.
    """
    out = out or Path("runs") / f"study-{Path(config).stem}"
    require_writable(out)

    from tqdm import tqdm

    from synthforge.config import config_path, load_config
    from synthforge.detector import load_detector
    from synthforge.study.config import StudyConfig, load_published
    from synthforge.study.run import StudyData, run_study
    from synthforge.study.tables import write_results

    settings = load_config(StudyConfig, config_path("study", config), overrides)
    published = load_published(settings.published)
    data = StudyData(
        train,
        test,
        _named(shards, "--shards"),
        _named(runs, "--run"),
        load_detector(detector, "--labels-from") if detector else None,
    )
    scores = run_study(settings, data, out, lambda todo: tqdm(todo, unit="run"))
    click.echo(write_results(settings, scores, published, out))
    click.echo(f"results in {out}: results.md, results.csv, results.json, plot.svg")


def _named(pairs: tuple[str, ...], option: str) -> dict[str, Path]:
    """NAME=DIR pairs, all of which must be folders."""
    from synthforge.errors import ConfigError

    found = {}
    for pair in pairs:
        name, sep, folder = pair.partition("=")
        if not sep or not Path(folder).is_dir():
            raise ConfigError(f"expected NAME=DIR with an existing folder, got {pair!r}", where=option)
        found[name] = Path(folder)
    return found
