"""A sample is a pure function of (config, seed, index); rejected draws are redrawn, and counted."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from synthforge.config import from_dict
from synthforge.datasets.shards import ShardSource
from synthforge.errors import ConfigError, DatasetError, SynthforgeError
from synthforge.generators.base import Backend, Setup
from synthforge.generators.raster.plugin import Raster
from synthforge.pipeline import source as pipeline
from synthforge.pipeline.config import GenerateConfig
from synthforge.pipeline.rerender import rerender
from synthforge.pipeline.source import SceneSource
from synthforge.rng import sample_rng
from synthforge.storage.reader import DatasetReader
from synthforge.storage.run import run
from synthforge.storage.verify import verify
from synthforge.types import Frame, Render
from tests.helpers.tiny_head import tiny_head

CAMERA = {"view_height": 0.19, "look_at_jitter": {"normal": [0, 0.03]}}
PLAIN = {"resolution": 64, "codec": "png", "shard_size": 4, "scene": {"camera": CAMERA}}


class Flat(Backend):
    """A backend that paints noise of the sample's own stream."""

    def draw(self, params, vertices):
        return [Render(_noise(p), v) for p, v in zip(params, vertices, strict=True)]


def _noise(params) -> np.ndarray:
    rng = sample_rng(params.seed, params.index, "paint")
    return rng.integers(0, 256, (*params.camera.size, 3), np.uint8)


def tiny_source(**changes: object) -> SceneSource:
    source = SceneSource(from_dict(GenerateConfig, PLAIN | changes, "test"))
    source.__dict__.update(head=tiny_head(), backend=Flat(None, Setup(tiny_head())))
    return source


def assert_equal(a: Frame, b: Frame) -> None:
    for key, value in vars(a).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(b, key), key)
    assert a.params.attributes == b.params.attributes


def test_a_sample_depends_on_its_index_alone() -> None:
    one, other = tiny_source(), tiny_source()
    for i in (0, 1, 2):
        one(i)
    assert_equal(one(3).frame, other(3).frame)
    assert (one(2).frame.depth != one(3).frame.depth).any()
    assert (tiny_source(seed=1)(3).frame.depth != one(3).frame.depth).any()


def test_rejected_draws_are_drawn_again_until_one_fits() -> None:
    strict, lenient = tiny_source(min_landmarks=68), tiny_source(min_landmarks=0)
    n_rejected = 0
    for i in range(12):
        sample, first = strict(i), lenient(i)
        assert (sample.frame.landmarks_visible > 0).all()
        assert sample.frame.params.index == i
        assert bool(sample.rejected) == bool((first.frame.landmarks_visible == 0).any())
        assert set(sample.rejected) <= {"landmarks outside the image"}
        if not sample.rejected:
            assert_equal(sample.frame, first.frame)
        n_rejected += bool(sample.rejected)
    assert 0 < n_rejected < 12  # the test means something


def test_an_impossible_configuration_ends_with_an_error() -> None:
    scene = {"scene": {"camera": {"view_height": 9.0}}}
    with pytest.raises(SynthforgeError, match=r"sample 0: 100 draws were rejected \(last: face too small\)"):
        tiny_source(**scene)(0)


def test_rerendering_from_stored_parameters_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tiny_source(min_landmarks=68, head="ict")
    run(source, source.config, tmp_path / "x", 6, workers=0)
    assert DatasetReader(tmp_path / "x").column("attempt").any()
    monkeypatch.setattr(pipeline, "load_head", lambda name: {"ict": tiny_head()}[name])
    monkeypatch.setattr(Raster, "draw", Flat.draw)
    for i in range(6):
        frame, comparison = rerender(tmp_path / "x", i)
        assert comparison == "equals the stored sample in every byte"
        assert_equal(frame, source(i).frame)
    larger, comparison = rerender(tmp_path / "x", 0, 128)
    assert larger.rgb.shape == (128, 128, 3) and comparison == "made at 128 px; stored at 64 px"
    np.testing.assert_allclose(larger.landmarks_2d, 2 * source(0).frame.landmarks_2d, atol=1e-3)
    wider = tiny_head()
    wider.vertices *= 1.1
    monkeypatch.setattr(pipeline, "load_head", lambda name: wider)
    comparison = rerender(tmp_path / "x", 0)[1]
    assert comparison.startswith("differs from the stored sample in ")
    assert "depth" in comparison and comparison.endswith("(it was made with another generator)")


def test_a_lens_is_stored_read_verified_and_kept_from_what_assumes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lens = {"k1": {"uniform": [-0.4, -0.2]}, "p2": 0.01}
    straight, bent = tiny_source(), tiny_source(scene={"camera": CAMERA | {"lens": lens}})
    for source, name in ((straight, "straight"), (bent, "bent")):
        run(source, source.config, tmp_path / name, 2, workers=0)
        assert list(verify(tmp_path / name)) == []
    assert "distortion" not in DatasetReader(tmp_path / "straight").keys
    reader = DatasetReader(tmp_path / "bent")
    stored = reader.column("distortion")
    assert stored.shape == (2, 5) and (stored[:, 0] < -0.2).all() and stored[0, 0] != stored[1, 0]
    np.testing.assert_array_equal(stored[:, [1, 2, 4]], 0)
    camera, without = reader.params(1).camera, straight(1).frame.params.camera
    np.testing.assert_array_equal(camera.distortion, stored[1])
    np.testing.assert_array_equal(camera.cam2world, without.cam2world)  # the lens has a stream of its own
    assert ShardSource(tmp_path / "bent")[0].intrinsics is None
    assert ShardSource(tmp_path / "straight")[0].intrinsics is not None
    monkeypatch.setattr(pipeline, "load_head", lambda name: tiny_head())
    monkeypatch.setattr(Raster, "draw", Flat.draw)
    assert rerender(tmp_path / "bent", 1)[1] == "equals the stored sample in every byte"
    with pytest.raises(ConfigError, match="scene.camera.lens: the backend next3d has no lens"):
        tiny_source(backend="next3d", scene={"camera": CAMERA | {"lens": lens}})


def test_head_hash_tells_heads_apart_and_nothing_else() -> None:
    a, b = tiny_head(), tiny_head()
    assert a.sha256 == b.sha256
    b._cache = np.ones(3)
    assert a.sha256 == b.sha256
    b.joints += 1e-4
    assert a.sha256 != b.sha256


def test_another_photograph_of_the_same_name_and_length_does_not_resume(tmp_path: Path) -> None:
    class Photographed(Raster):
        draw = Flat.draw

    photos = tmp_path / "photos"
    photos.mkdir()

    def source(value: int) -> SceneSource:
        cv2.imwrite(str(photos / "a.bmp"), np.full((8, 8, 3), value, np.uint8))
        (photos / "a.bmp").rename(photos / "a.png")
        made = tiny_source(raster={"backgrounds": str(photos)})
        made.__dict__.update(backend=Photographed(made.config.settings, Setup(tiny_head())))
        return made

    first = source(1)
    run(first, first.config, tmp_path / "x", 2, workers=0)
    size = (photos / "a.png").stat().st_size
    run(source(1), first.config, tmp_path / "x", 3, workers=0)
    other = source(2)
    assert (photos / "a.png").stat().st_size == size
    with pytest.raises(
        DatasetError, match=rf"another generator \(other files in {photos}\); use another --out"
    ):
        run(other, other.config, tmp_path / "x", 4, workers=0)


@pytest.mark.parametrize(("key", "value"), [("resolution", 8), ("seed", -1), ("min_face_size", 1.5)])
def test_impossible_values_name_the_key(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"{key}: {value} is not in \["):
        replace(GenerateConfig(), **{key: value})


@pytest.mark.parametrize("fault", ["few vertices", "wrong type", "nan"])
def test_what_a_backend_gives_back_is_checked_before_labels_are_made(fault):
    source = tiny_source()
    plain = source.backend.draw

    def broken(params, vertices):
        (render,) = plain(params, vertices)
        if fault == "few vertices":
            return [replace(render, vertices=render.vertices[:-5])]
        if fault == "wrong type":
            return [replace(render, rgb=render.rgb.astype(np.int64))]
        return [replace(render, vertices=render.vertices * np.nan)]

    source.backend.draw = broken
    with pytest.raises(Exception, match="where finite|rgb") as error:
        source(0)
    assert "\n" not in str(error.value) or "rgb" in str(error.value)
