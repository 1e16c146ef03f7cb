"""One declaration makes a label: it is written, read, verified and documented. Documents follow the table."""

import pickle
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from synthforge.attributes import ATTRIBUTES
from synthforge.errors import DatasetError
from synthforge.scene.attributes import attribute_table
from synthforge.scene.config import SceneConfig
from synthforge.scene.distributions import Distribution
from synthforge.storage import schema
from synthforge.storage.reader import DatasetReader
from synthforge.storage.run import run
from synthforge.storage.schema import LABELS, Label
from synthforge.storage.source import Sample
from synthforge.storage.verify import verify
from synthforge.storage.writer import encode_frame
from tests.helpers.fake_source import FakeConfig, FakeSource, fake_frame, fake_layout
from tests.storage import document


def not_blue(sample):
    if (sample["heat"] > 40).any():
        yield f"{sample['heat'].max():.1f} is a fever"


HEAT = Label(
    "heat", "float32", ("H", "W"), "temperature of the skin", "degC", "image", kind="plane", stored="uint8",
    encode=lambda frame: np.rint(4 * frame.extra["heat"]).astype(np.uint8),
    decode=lambda counts, out: np.multiply(counts, np.float32(0.25), out=out),
    check=not_blue, attrs={"scale": 0.25},
)  # fmt: skip
MOLES = Label("moles", "int16", (2,), "moles on either cheek, the subject's left first")


class Feverish(FakeSource):
    """The fake samples, with what somebody's annotation adds."""

    def __call__(self, index: int) -> Sample:
        frame = super().__call__(index).frame
        heat = np.full((32, 32), 36.0 + 5 * (index == 1), np.float32)
        return Sample(replace(frame, extra={"heat": heat, "moles": np.array([index, 3], np.int16)}))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(schema, "LABELS", (*LABELS, HEAT, MOLES))
    run(Feverish(), FakeConfig(), tmp_path / "x", 3, workers=0)
    return tmp_path / "x"


def test_one_declaration_is_written_read_verified_and_documented(folder: Path) -> None:
    reader = DatasetReader(folder)
    sample = reader[2]
    np.testing.assert_array_equal(sample["heat"], np.full((32, 32), 36, np.float32))
    assert sample["heat"].dtype == np.float32 and sample["moles"].tolist() == [2, 3]
    assert reader.form("heat") == ((32, 32), np.dtype("f4"))
    out = np.empty((32, 32), np.float32)
    reader.read_into(1, {"heat": out})
    assert (out == 41).all() and reader.column("moles").tolist() == [[0, 3], [1, 3], [2, 3]]
    with h5py.File(folder / reader.shards[0]["file"]) as file:
        stored = file["heat"]
        assert stored.dtype == np.uint8 and stored.chunks == (1, 32, 32)
        about = {"description": "temperature of the skin", "unit": "degC", "frame": "image", "scale": 0.25}
        assert dict(stored.attrs) == about
    assert list(verify(folder)) == ["shards/shard-000000.h5: sample 1, heat: 41.0 is a fever"]
    line = "| `heat` | uint8 [N,H,W] x 0.25 | float32 | degC | image | temperature of the skin |"
    assert line in document.labels_table(schema.LABELS).splitlines()


def test_a_declared_label_that_the_frame_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "LABELS", (*LABELS, MOLES))
    with pytest.raises(DatasetError, match="sample 4, moles: is not in the frame"):
        encode_frame(fake_frame(0, 4), fake_layout())


def test_the_document_follows_the_declarations() -> None:
    text = document.FILE.read_text(encoding="utf-8")
    assert document.documented(text) == text, "run: python -m tests.storage.document"


def test_labels_have_names_of_their_own_and_say_what_they_are() -> None:
    names = [label.name for label in LABELS if "<name>" not in label.name]
    assert len(names) == len(set(names))
    assert all(label.text for label in LABELS)
    vectors = {"gaze", "normals", "depth", "landmarks_3d", "landmarks_2d", "pupils_2d", "cam2world"}
    assert all(label.frame for label in LABELS if label.name in vectors)


def test_a_layout_travels_to_workers() -> None:
    layout = fake_layout()
    assert list(layout.labels) == list(pickle.loads(pickle.dumps(layout)).labels)


@pytest.mark.parametrize("drawn", [{"categorical": {"tinted": 1}}, {"categorical": {"clear": 1, "none": 2}}])
def test_a_word_has_one_number_in_every_data_set(drawn: dict, tmp_path: Path) -> None:
    word = next(iter(drawn["categorical"]))
    worn = {"eyeglasses": word, "expression": "neutral"}
    scene = SceneConfig(attributes={"eyeglasses": Distribution.from_plain(drawn, "test")})
    layout = fake_layout(attributes=attribute_table(scene))

    class Wearing(FakeSource):
        def __call__(self, index: int) -> Sample:
            frame = fake_frame(0, index)
            return Sample(replace(frame, params=replace(frame.params, attributes=worn)))

    run(Wearing(layout), FakeConfig(), tmp_path / "x", 1, workers=0)
    reader = DatasetReader(tmp_path / "x")
    with h5py.File(tmp_path / "x" / reader.shards[0]["file"]) as file:
        assert file["attributes/eyeglasses"][0] == ATTRIBUTES["eyeglasses"].words.index(word)
        assert list(file["attributes/eyeglasses"].attrs["words"]) == list(ATTRIBUTES["eyeglasses"].words)
    assert reader[0]["attributes"] == worn
    assert reader.column("attributes/eyeglasses").tolist() == [word]
    assert list(verify(tmp_path / "x")) == []


def test_attributes_are_there_even_where_there_are_none(tmp_path: Path) -> None:
    run(FakeSource(fake_layout(attributes={})), FakeConfig(), tmp_path / "x", 1, workers=0)
    reader = DatasetReader(tmp_path / "x")
    assert reader.index["attributes"] == {} == reader[0]["attributes"] and "attributes" in reader.keys
    path = tmp_path / "x" / reader.shards[0]["file"]
    del reader  # HDF5 opens a file for writing once nobody reads it
    with h5py.File(path, "r+") as file:
        assert isinstance(file["attributes"], h5py.Group)
        del file["attributes"]
    assert any("attributes: missing" in fault for fault in verify(tmp_path / "x"))
