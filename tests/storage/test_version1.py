"""A data set of schema version 1 gives what it gave to the code that wrote it.

`version1.zip` was made by commit 2a27cb5 (`generate --n 3 --resolution 32 --set landmarks_dense=false`), and
`version1.json` by `facts` with that commit's package.
"""

import dataclasses
import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from synthforge.datasets.shards import ShardSource
from synthforge.errors import DatasetError
from synthforge.pipeline.rerender import rerender
from synthforge.report.statistics import statistics
from synthforge.storage.claim import claim
from synthforge.storage.reader import DatasetReader
from synthforge.storage.shards import Origin, check_shards, plan_shards, shard_attributes
from synthforge.storage.verify import verify

HERE = Path(__file__).parent


def plain(value):
    """Arrays as digests, all else as JSON holds it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        kind = value.dtype.kind
        data = str(value.tolist()).encode() if kind == "O" else np.ascontiguousarray(value).tobytes()
        return f"{value.dtype} {value.shape} {hashlib.sha256(data).hexdigest()[:12]}"
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def facts(folder):
    """What readers, reports and training see of a data set, without sums that libraries may round anew."""
    reader, source = DatasetReader(folder), ShardSource(folder, extra=("alpha", "normals", "layers"))
    stats = dataclasses.asdict(statistics(reader))
    sample = vars(source[1])
    params = vars(reader.params(2))
    return {
        "samples": [plain(reader[i]) for i in range(len(reader))],
        "columns": {
            name: plain(reader.column(name)) for name in ("pose", "attributes/hair_style", "attributes/age")
        },
        "params": plain({key: params[key] for key in ("seed", "index", "shape", "pose", "attributes")}),
        "words": stats["words"],
        "numbers": {name: [float(v) for v in values] for name, values in stats["numbers"].items()},
        "camera": {name: [round(float(v), 3) for v in values] for name, values in stats["camera"].items()},
        "class_pixels": [round(float(v), 9) for v in stats["class_pixels"]],
        "bytes": stats["bytes_by_part"],
        "training": plain(
            {k: sample[k] for k in ("rgb", "points", "target", "depth", "visible", "under", "layers")}
        ),
        "sha256": source.sha256,
        "faults": list(verify(Path(folder))),
    }


@pytest.fixture
def folder(tmp_path):
    with zipfile.ZipFile(HERE / "version1.zip") as file:
        file.extractall(tmp_path / "x")
    return tmp_path / "x"


def test_it_reads_verifies_reports_and_trains_as_before(folder):
    made, before = facts(folder), json.loads((HERE / "version1.json").read_text(encoding="utf-8"))
    assert made["faults"] == []
    for key, value in before.items():
        assert made[key] == value, key


def test_its_index_has_the_form_of_version_2(folder):
    reader = DatasetReader(folder)
    written = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["attributes"]
    assert reader.index["schema_version"] == 1
    for name, about in written.items():
        assert reader.index["attributes"][name].get("words") == about.get("values")
        assert "values" not in reader.about(f"attributes/{name}")
    assert reader.about("normals")["unit"] == "1"


def test_its_damage_is_found(folder):
    path = folder / "dataset.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"male"', '"man"'), encoding="utf-8")
    assert any("attributes/sex: words" in fault for fault in verify(folder))


def test_it_is_not_rendered_or_continued(folder):
    with pytest.raises(DatasetError, match=r"other configurations \(schema version 1\); render it with that"):
        rerender(folder, 0)
    plans = plan_shards(folder, 5, 1024)
    attributes = shard_attributes(folder / plans[0].file)
    origin = Origin({}, attributes["config_sha256"], attributes["generator"])
    with pytest.raises(DatasetError, match="schema version 1 can be read, not extended; use another"):
        check_shards(folder, plans, origin)
    with pytest.raises(DatasetError, match="schema version 1 can be read, not extended; use another"):
        claim(folder, {"name": "default"})


def test_its_words_are_described_as_words(folder):
    said = DatasetReader(folder).about("attributes/background")
    assert "values" not in said and said["description"] == "sampled attribute" and "outdoor" in said["words"]


def test_a_version_that_is_not_known_says_so(folder):
    path = folder / "dataset.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 3'))
    with pytest.raises(DatasetError, match="schema version 3, expected 1 or 2; read it with the version"):
        DatasetReader(folder)
