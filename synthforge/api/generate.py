"""`synthforge.generate`: a data set from Python."""

from pathlib import Path
from typing import Any

from synthforge.api.config import resolve
from synthforge.api.dataset import Dataset
from synthforge.errors import ConfigError
from synthforge.pipeline.source import SceneSource
from synthforge.storage.run import run


def generate(
    config: Path | str | None = None,
    out: Path | str | None = None,
    n: int = 64,
    *,
    workers: int = 0,
    device: str = "auto",
    batch_size: int = 0,
    **overrides: Any,
) -> Dataset:
    """Write `n` labelled faces, the same bytes that `synthforge generate` writes, and load them.

    The same call again resumes a stopped run, and with a larger `n` extends a finished one.

    Args:
        config: a name in configs/generate, or a YAML file; default: the one that the backend or the head is
            made for, `default` for `raster`.
        out: folder to write; default: out/NAME of the configuration.
        workers: processes; 0 works in this one. A script that asks for some must call this below
            `if __name__ == "__main__":`.
        device, batch_size: of neural backends.
        overrides: keys of the configuration, as `--set` takes them: `resolution=128`, `backend="pathtrace"`.
    Raises:
        ConfigError: an unknown name, key or value.
        DatasetError: `out` holds something else, or cannot be written.
        AssetError: a file that the head or the backend needs is missing.
    """
    if n < 1:
        raise ConfigError(f"{n} samples", where="generate: n", fix="ask for at least 1")
    resolved = resolve(config, overrides, device, batch_size)
    out = Path(out) if out else Path("out") / resolved.name
    run(SceneSource(resolved, device, batch_size), resolved, out, n, workers)
    return Dataset(out)
