"""`synthforge.generate`: a data set from Python."""

from numbers import Integral
from pathlib import Path
from typing import Any

from synthforge.api.config import as_path, resolve
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
    for name, value, least in (("n", n, 1), ("workers", workers, 0), ("batch_size", batch_size, 0)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            fix = f"give a whole number, {least} or more"
            raise ConfigError(f"got {value!r}", where=f"generate: {name}", fix=fix)
    resolved = resolve(config, overrides, device, batch_size)
    out = as_path(out, "generate: out") if out else Path("out") / resolved.name
    run(SceneSource(resolved, device, batch_size), resolved, out, n, workers)
    return Dataset(out)
