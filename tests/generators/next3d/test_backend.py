"""The neural backend over a small network, and over planted volumes whose truth is known."""

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from next3d.config import Next3DConfig, RenderConfig
from next3d.generator import Generator
from next3d.topology import Topology

from synthforge.alignment import CheckpointAffine
from synthforge.cameras.project import project
from synthforge.cli.bench import bench
from synthforge.config import config_path, from_dict, load_config
from synthforge.errors import AssetError, ConfigError
from synthforge.generators.next3d import backend
from synthforge.generators.next3d.config import Next3dConfig
from synthforge.heads.base import HeadModel
from synthforge.pipeline.config import GenerateConfig
from synthforge.pipeline.source import SceneSource
from synthforge.scene.sampling import posed_heads
from synthforge.storage.reader import DatasetReader
from synthforge.storage.run import run
from synthforge.storage.verify import verify
from tests.helpers.planted_network import PlantedNetwork
from tests.helpers.tiny_head import tiny_head

SMALL = Next3DConfig(
    channel_max=8, plane_resolution=64, mouth_resolution=16, blending_final=16, neural_resolution=16,
    sr_resolution=32, sr_channels=(8, 8), img_resolution=128,
    rendering=RenderConfig(depth_resolution=12, depth_resolution_importance=12),
)  # fmt: skip
FOCUS = np.array([0.03, 0.03, 0.06])  # m; about where the left eye is


def paper(**changes) -> GenerateConfig:
    """The paper's experiment with random weights, at 128 px."""
    plain = load_config(GenerateConfig, config_path("generate", "paper"))
    settings = Next3dConfig(weights="random", alignment="analytic")
    small = {"backend": "next3d", "settings": settings, "resolution": 128, "shard_size": 4}
    return replace(plain, **small | changes)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> HeadModel:
    """The tiny head; every generator made meanwhile is a small one over it."""
    head = tiny_head()
    mask = np.ones((256, 256), np.float32)
    topology = Topology(len(head.vertices), head.faces, head.uv, head.face_uvs, mask)
    network = Generator.random(SMALL, topology)
    monkeypatch.setattr(backend, "_network", lambda *_: (network, None))
    return head


def source_of(head: HeadModel, config: GenerateConfig, batch: int = 0) -> SceneSource:
    source = SceneSource(config, "cpu", batch)
    source.__dict__["head"] = head
    return source


def test_a_whole_run_is_sound_and_resumes_to_the_same_bytes(small: HeadModel, tmp_path: Path) -> None:
    for name, parts in (("whole", [6]), ("parts", [4, 6])):
        for n in parts:
            source = source_of(small, paper(), batch=2)
            run(source, source.config, tmp_path / name, n, workers=0)
        assert not list(verify(tmp_path / name))
    shards = ["shards/shard-000000.h5", "shards/shard-000001.h5"]
    assert all((tmp_path / "whole" / s).read_bytes() == (tmp_path / "parts" / s).read_bytes() for s in shards)
    reader = DatasetReader(tmp_path / "whole")
    assert reader.index["generator"]["weights"].startswith("random")
    assert reader.column("latent").shape == (6, 512)
    assert np.isnan(reader.column("alignment_rms")).all()
    assert len(set(map(bytes, reader.column("latent")))) == 6
    frame = source.render(reader.params(3))  # from what is stored alone
    assert (frame.depth.astype(np.float32) > 0).all()
    np.testing.assert_array_equal(frame.segmentation, reader.read(3)["segmentation"])


def test_a_sample_depends_on_its_batch_mates_by_rounding_alone(small: HeadModel) -> None:
    source = source_of(small, paper(), batch=4)
    together = source.draw([0, 1, 2, 3])
    for drawn in together:
        (alone,) = source.draw([drawn.params.index])
        assert np.abs(alone.render.rgb.astype(int) - drawn.render.rgb).max() <= 1
        np.testing.assert_allclose(alone.render.volume.depth, drawn.render.volume.depth, atol=1e-5)


@pytest.mark.parametrize(("per_identity", "per_expression"), [(4, 1), (4, 2), (2, 2)])
def test_views_of_one_person_share_what_does_not_depend_on_the_view(
    small: HeadModel, per_identity: int, per_expression: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = replace(paper().scene, views_per_identity=per_identity, views_per_expression=per_expression)
    source = source_of(small, paper(scene=scene), batch=4)
    network, batches = source.backend.generator.network, {}
    for name in ("mapping", "planes"):
        call = getattr(network, name)

        def counted(first, *rest, name=name, call=call, **options):
            batches[name] = len(first if name == "mapping" else rest[0])
            return call(first, *rest, **options)

        monkeypatch.setattr(network, name, counted, raising=False)
    drawn = source.draw([0, 1, 2, 3])
    assert batches == {"mapping": 4 // per_identity, "planes": 4 // per_expression}
    people = {(d.params.latent.tobytes(), d.params.shape.tobytes()) for d in drawn}
    faces = {d.params.expression.tobytes() for d in drawn}
    assert (len(people), len(faces)) == (4 // per_identity, 4 // per_expression)
    assert len({d.params.camera.cam2world.tobytes() for d in drawn}) == 4
    for d in drawn:  # the same as each by itself
        alone = source.backend.draw([d.params], d.vertices[None])[0]
        assert np.abs(alone.rgb.astype(int) - d.render.rgb).max() <= 1


def test_too_little_memory_halves_the_batch_and_goes_on(
    small: HeadModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of(small, paper(), batch=4)
    whole = source.draw([0, 1, 2, 3])
    generator = source.backend.generator
    once = generator._images

    def scarce(params, vertices):
        if len(params) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return once(params, vertices)

    monkeypatch.setattr(generator, "_images", scarce)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    for drawn, expected in zip(source.draw([0, 1, 2, 3]), whole, strict=True):
        assert np.abs(drawn.render.rgb.astype(int) - expected.render.rgb).max() <= 1
    assert [d.params.index for d in source.draw([4, 5, 6])] == [4, 5, 6]
    assert source.batch == 4  # what a run counts by stays
    assert [r.message for r in caplog.records] == [
        f"out of GPU memory: going on with batches of {n}" for n in (2, 1)
    ]


def test_bench_prints_a_line_for_every_stage(small: HeadModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthforge.pipeline.source.load_head", lambda name: small)
    options = [
        "next3d",
        "--weights",
        "random",
        "--batch-size",
        "2",
        "--views-per-identity",
        "1,2",
        "--repeats",
        "1",
    ]
    options += ["--device", "cpu"]
    result = CliRunner().invoke(bench, options)
    assert result.exit_code == 0, result.output
    figures = [json.loads(line) for line in result.stdout.splitlines()]
    assert [f["views_per_identity"] for f in figures] == sorted(f["views_per_identity"] for f in figures)
    seconds = {f["name"]: f["value"] for f in figures[: len(figures) // 2] if f["unit"] == "s/image"}
    inside = ("mapping", "texture", "static_planes", "mouth", "blending", "superresolution", "rasterization",
              "volume", "alignment")  # fmt: skip
    parts = [seconds[f"next3d/{name}"] for name in inside]
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(seconds["next3d/drawing"], rel=0.01)
    assert {"next3d/sampling", "next3d/labels", "next3d/encode"} <= set(seconds)


@pytest.fixture(scope="module")
def planted(anthro_head: HeadModel) -> tuple[PlantedNetwork, SceneSource]:
    network = PlantedNetwork(anthro_head)
    scene = replace(paper().scene, expression_axes=0)
    settings = Next3dConfig(alignment="refined", max_residual_mm=5.0)
    source = source_of(anthro_head, paper(scene=scene, settings=settings), batch=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "_network", lambda *_: (network, "0" * 64))
        patch.setattr(CheckpointAffine, "load", classmethod(lambda cls, path, sha: cls.identity(sha)))
        patch.setattr(backend, "store_dir", lambda: Path(__file__).parent)
        patch.setattr(backend, "AFFINE", Path(__file__).name)
        source.backend  # noqa: B018 (made while patched)
    return network, source


def test_labels_follow_the_volume_not_the_mesh(planted: tuple[PlantedNetwork, SceneSource]) -> None:
    network, source = planted
    drawn = source.draw([0])
    truth = network.made[-1].truth.numpy()
    for d, true in zip(drawn, truth, strict=True):
        frame = source.finish(d).frame
        wanted, given = (
            project(source.head.landmarks(v).astype(np.float64), d.params.camera)[:, :2]
            for v in (true, d.vertices)
        )
        before, after = (4 * np.linalg.norm(px - wanted, axis=1) for px in (given, frame.landmarks_2d))
        assert np.median(before) > 2.5  # pixels of 512
        assert np.median(after) < 0.5
        eye = source.head.face_part == source.head.part_names.index("left_eyeball")
        eye = np.unique(source.head.faces[eye])
        moved = project((true[eye] - d.vertices[eye]).mean(0) + FOCUS, d.params.camera)[:2]
        moved = moved - project(FOCUS, d.params.camera)[:2]
        unmoved = dataclasses.replace(d.render, vertices=d.vertices)
        still = source.frame(d.params, d.vertices, unmoved).pupils_2d[0]
        np.testing.assert_allclose(frame.pupils_2d[0] - still, moved, atol=0.3)
        assert 0 < frame.alignment_rms < 2e-3


def test_a_residual_beyond_the_limit_is_rejected_by_pose(
    planted: tuple[PlantedNetwork, SceneSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, source = planted
    params = [source.sampler.sample(0, 0)]
    generator = source.backend.generator
    monkeypatch.setattr(generator, "config", replace(generator.config, max_residual_mm=0.0))
    (image,) = source.backend.draw(params, posed_heads(source.head, params))
    assert image.rejected.startswith("alignment residual, yaw ")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"next3d": {"weights": "mine"}}, "weights"),
        ({"next3d": {"depth_factor": 3}}, "depth_factor"),
        ({"next3d": {"weights": "random"}}, "nothing to align to.*next3d.alignment=analytic"),
        ({"next3d": {"truncation_cutoff": 29}}, "29 is not in"),
        ({"scene": {"pose": {"yaw_deg": 10}}}, "scene.pose.yaw_deg: .*turn the camera|heads without a turn"),
    ],
)
def test_impossible_settings_are_refused(changes: dict, what: str) -> None:
    still = {"yaw_deg": 0, "pitch_deg": 0, "roll_deg": 0}
    scene = {"pose": still} | changes.get("scene", {})
    with pytest.raises(ConfigError, match=what):
        from_dict(GenerateConfig, {"backend": "next3d"} | changes | {"scene": scene}, "test")


def test_missing_weights_and_devices_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path))
    with pytest.raises(AssetError, match="synthforge assets add next3d"):
        source_of(tiny_head(), paper(settings=Next3dConfig())).backend  # noqa: B018
    with pytest.raises(ConfigError, match="--device"):
        random = Next3dConfig(weights="random", alignment="analytic")
        backend.Next3dGenerator(random, tiny_head(), True, "toaster")
