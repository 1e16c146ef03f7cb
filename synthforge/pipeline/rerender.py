"""Samples of a data set made again from what is stored of them."""

from pathlib import Path
from typing import Any

import numpy as np

from synthforge import __version__
from synthforge.config import load_config
from synthforge.errors import DatasetError
from synthforge.pipeline.config import GenerateConfig
from synthforge.pipeline.source import SceneSource
from synthforge.scene.view import with_resolution
from synthforge.storage.index import CONFIG
from synthforge.storage.reader import DatasetReader
from synthforge.storage.schema import SCHEMA_VERSION
from synthforge.storage.writer import encode_frame
from synthforge.types import Frame


def _same(a: Any, b: Any) -> bool:
    """Encoded bytes equal, or arrays equal with NaN equal to NaN."""
    return a == b if isinstance(a, bytes) else np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")


def source_of(folder: Path) -> SceneSource:
    """The source that made the data set in `folder`, from the configuration kept there.

    Raises:
        ConfigError: it is missing or not of this version.
    """
    return SceneSource(load_config(GenerateConfig, folder / CONFIG))


def rerender(folder: Path, index: int, resolution: int | None = None) -> tuple[Frame, str]:
    """Sample `index` of a data set again, from its stored parameters.

    Args:
        resolution: image side in pixels; default: as stored.
    Returns:
        the frame, and how it compares with what is stored.
    Raises:
        DatasetError: there is no such sample, or the data set is of an earlier schema version.
    """
    reader = DatasetReader(folder)
    if (version := reader.index["schema_version"]) != SCHEMA_VERSION:
        raise DatasetError(
            f"was made by a version of synthforge with other configurations (schema version {version})",
            where=str(folder),
            fix="render it with that version, or generate it anew",
        )
    if not 0 <= index < len(reader):
        raise DatasetError(f"no sample {index}", where=str(folder), fix=f"it holds 0 to {len(reader) - 1}")
    source, params = source_of(folder), reader.params(index)
    if resolution not in (None, reader.index["resolution"]):
        frame = source.render(with_resolution(params, resolution))
        return frame, f"made at {resolution} px; stored at {reader.index['resolution']} px"
    frame = source.render(params)
    stored = reader.stored(index)
    made = encode_frame(frame, source.layout)
    different = [name for name in stored if not _same(made[name], stored[name])]
    if not different:
        return frame, "equals the stored sample in every byte"
    made_by = {"generator": source.generator, "synthforge_version": __version__}
    changed = [key for key, value in made_by.items() if reader.index[key] != value]
    reason = f" (it was made with another {' and '.join(changed)})" if changed else ""
    return frame, f"differs from the stored sample in {', '.join(different)}{reason}"
