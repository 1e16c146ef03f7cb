"""generate, verify, render: make a data set, check it, and make one of its samples again."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click

from synthforge.cli.help import FILE, Setting, out_option, set_option
from synthforge.cli.out import require_writable

CONFIG = "synthforge.pipeline.config:GenerateConfig"
SCENE = "synthforge.scene.config:SceneConfig"
PATHTRACE = "synthforge.generators.mitsuba.config:PathtraceConfig"
NEXT3D = "synthforge.generators.next3d.config:Next3dConfig"
BACKENDS = "synthforge.generators.registry:BACKENDS"
HEADS = "synthforge.heads.registry:HEADS"
_FOLDER = click.Path(path_type=Path, file_okay=False)


def _span(_: click.Context, option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """`a:b` -> (a, b)."""
    if text is None:
        return None
    try:
        first, last = (int(part) for part in text.split(":"))
    except ValueError:
        first, last = 0, 0
    if not 0 <= first < last:
        raise click.BadParameter(f"expected A:B with 0 <= A < B, got {text!r}", param=option)
    return first, last


class _Stopped(BaseException):
    """A signal asked this process to end; workers and files are cleaned up on the way."""

    def __init__(self, number: int):
        self.number = number


@contextmanager
def _stopped_by_signals() -> Iterator[Callable[[], None]]:
    """Ctrl-C, a job's end and a closed terminal raise `_Stopped` inside; what is ignored (nohup) stays so.

    Gives a function that raises it again: Python loses exceptions in the callbacks of its collector.
    """

    caught: list[int] = []

    def check() -> None:
        if caught:
            raise _Stopped(caught[0])

    def stop(number: int, _: object) -> None:
        caught.append(number)
        for other in before:
            signal.signal(other, signal.SIG_DFL)  # a second one ends it at once
        check()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop)
    try:
        yield check
    except Exception:
        check()  # workers that the same signal ended are no error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@click.command()
@click.option("--n", type=click.IntRange(1), default=64, help="Number of samples wanted in all.")
@out_option("Folder to write; by default out/NAME of the configuration.", _FOLDER)
@click.option(
    "--config",
    metavar="YAML|NAME",
    help="What to make; by default what backend and head are made for (synthforge config list).",
)
@click.option("--backend", cls=Setting, of=CONFIG, names=BACKENDS, help="What makes the images.")
@click.option("--head", cls=Setting, of=CONFIG, names=HEADS, help="Head model.")
@click.option("--resolution", cls=Setting, of=CONFIG, type=int, help="Side of the images in pixels.")
@click.option("--seed", cls=Setting, of=CONFIG, type=int, help="Another seed gives other samples.")
@click.option("--codec", cls=Setting, of=CONFIG, help="How images are stored.")
@click.option("--shard-size", cls=Setting, of=CONFIG, type=int, help="Samples in each file.")
@click.option("--spp", cls=Setting, of=PATHTRACE, type=int, help="For pathtrace: light paths per pixel.")
@click.option(
    "--weights",
    cls=Setting,
    of=NEXT3D,
    help="For next3d: your checkpoint, or random weights to try it without one.",
)
@click.option("--precision", cls=Setting, of=NEXT3D, help="For next3d: precision of its networks.")
@click.option(
    "--views-per-identity", cls=Setting, of=SCENE, type=int, help="Consecutive samples that show one person."
)
@click.option("--device", default="auto", help="Of backends that draw in batches: cpu, cuda, ...")
@click.option(
    "--batch-size",
    type=click.IntRange(0),
    default=0,
    help="Of backends that draw in batches: samples drawn at once; 0 takes what suits the device.",
)
@set_option
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="Worker processes; by default one for each core. With 0 this process does the work.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    help="Processes of this machine, or Ray tasks, one for each shard.",
)
@click.option("--shards", callback=_span, metavar="A:B", help="Only shards A to B-1, for job arrays.")
@click.option("--preview", is_flag=True,
              help="Only draw nine faces of the configuration as one PNG, OUT-preview.png.")  # fmt: skip
def generate(
    n: int,
    out: Path | None,
    config: str | None,
    device: str,
    batch_size: int,
    overrides: tuple[str, ...],
    workers: int | None,
    engine: Literal["local", "ray"],
    shards: tuple[int, int] | None,
    preview: bool,
    **options: str | int | None,
) -> None:
    """Write N labelled synthetic faces.

    The same command again resumes a stopped run, and with a larger --n extends a finished one.
    Samples depend on the configuration and their index only, never on --workers.
    """
    from synthforge.cli.bars import bar

    resolved = resolved_config(config, options, overrides)  # before anything heavy is imported
    out = out or Path("out") / resolved.name
    picture = Path(f"{out}-preview.png")
    require_writable(picture if preview else out, folder=not preview)
    workers = len(os.sched_getaffinity(0)) if workers is None else workers
    try:
        with _stopped_by_signals() as check:
            backend = resolved.backend_class
            with bar("sample", "preparing") as progress:
                line = backend.prepare(resolved.settings, resolved.head, device, batch_size, progress)
            if line:
                click.echo(line)
            from synthforge.pipeline.source import SceneSource
            from synthforge.render.rasterize import is_compiled
            from synthforge.storage.run import run

            if not is_compiled():
                click.echo("compiling, once: the first sample takes about half a minute longer")
            if preview:
                from synthforge.report import draw
                from synthforge.report import preview as faces

                small = min(resolved.resolution, faces.TILE)
                source = SceneSource(replace(resolved, resolution=small), device, batch_size)
                with bar("face") as progress:
                    draw.write_png(picture, faces.preview(source, progress))
                click.echo(f"wrote {picture}: nine faces of this configuration; no data set was made")
                return
            source = SceneSource(resolved, device, batch_size)
            with bar("sample") as show:

                def advance(present: int, wanted: int) -> None:
                    check()
                    show(present, wanted)

                done = run(source, resolved, out, n, workers, shards, engine, advance)
    except _Stopped as stop:
        click.echo(f"stopped; finished shards are kept in {out}. Run the same command again to go on.")
        sys.exit(128 + stop.number)
    rate = f", {done.n_made / done.seconds:.2f} samples/s" if done.n_made else ""
    click.echo(f"made {done.n_made} samples in {done.seconds:.1f} s{rate}")
    if done.missing:
        click.echo(f"{done.missing} shards of {out} are still to be made, by other runs or by --shards")
        return
    reasons = ", ".join(f"{count} {reason}" for reason, count in done.rejected.items())
    click.echo(f"{done.n_samples} samples in {out} (rejected draws: {reasons or 'none'})")
    click.echo(f"next: synthforge report {out}")


def resolved_config(config: str | None, options: dict[str, Any], overrides: tuple[str, ...]) -> Any:
    """The configuration asked for (`pipeline.config.chosen`)."""
    from synthforge.cli.settings import resolve
    from synthforge.pipeline.config import GenerateConfig, chosen

    name, settings = chosen(config, options, overrides)
    resolved = resolve(GenerateConfig, name, settings)
    if names := resolved.not_drawn(name, settings):
        click.echo(f"note: the backend {resolved.backend} does not draw {', '.join(names)}", err=True)
    return resolved


@click.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
def verify(folder: Path) -> None:
    """Check the data set in DIR: one line per fault, and exit code 1 where there is one."""
    from tqdm import tqdm

    from synthforge.cli.bars import bar
    from synthforge.storage.verify import verify as faults_of

    n_faults = n_samples = 0
    with bar("sample", leave=False, disable=None) as show:

        def progress(done: int, total: int) -> None:
            nonlocal n_samples
            n_samples = done
            show(done, total)

        for fault in faults_of(folder, progress):
            n_faults += 1
            tqdm.write(fault, file=sys.stdout)
    if n_faults:
        click.echo(f"{n_faults} faults in {folder}", err=True)
        sys.exit(1)
    click.echo(f"{folder} is sound: {n_samples} samples checked")
    click.echo(f"next: synthforge report {folder}")


@click.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.argument("index", type=int)
@out_option("PNG to write; by default sample-INDEX.png.", FILE)
@click.option("--resolution", type=click.IntRange(32, 4096), help="Side of the image; by default as stored.")
@click.option("--labels", is_flag=True, help="Show segmentation, landmarks, depth and normals beside it.")
def render(folder: Path, index: int, out: Path | None, resolution: int | None, labels: bool) -> None:
    """Make sample INDEX of DIR again from its stored parameters, as a PNG."""
    from synthforge.pipeline.rerender import rerender
    from synthforge.report.draw import strip, write_png

    out = out or Path(f"sample-{index}.png")
    require_writable(out, folder=False)
    frame, comparison = rerender(folder, index, resolution)
    picture = strip(vars(frame), frame.rgb.shape[0]) if labels else frame.rgb
    write_png(out, picture)
    click.echo(f"sample {index}: {comparison}")
    click.echo(f"wrote {out}" + ("" if labels else "; with --labels its labels stand beside it"))
