"""The assembled generator: its tensors, its stages, what they share, its precisions, its files."""

import json
import math
import warnings
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from next3d.config import Next3DConfig, RenderConfig
from next3d.generator import Generator
from next3d.weights import (
    TOPOLOGY_KEYS,
    check_state,
    expected_keys,
    load_folder,
    random_state_dict,
    save_folder,
)
from safetensors.torch import load_file, save_file
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.helpers.shared import shared_path
from tests.next3d.tiny import CONFIG, cameras, latents, topology, vertices


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator.random(CONFIG, topology())


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def listed(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a list of tensors."""
    rows = (line.split("\t") for line in shared_path(name).read_text().splitlines()[1:])
    return {row[0]: tuple(json.loads(row[1])) for row in rows}


class Sized:
    """A topology of given counts, for which only the shapes of its buffers matter."""

    def __init__(self, n_uv: int, n_faces: int) -> None:
        self.shapes = (1, n_faces, 3), (1, n_faces, 3), (1, n_uv, 2), (1, n_uv, 3), (1, n_faces, 3, 3)

    def buffers(self) -> dict[str, torch.Tensor]:
        return {key: torch.empty(shape) for key, shape in zip(TOPOLOGY_KEYS, self.shapes, strict=True)}


def test_every_tensor_of_the_released_checkpoint_is_known():
    assert expected_keys(Next3DConfig(), Sized(5118, 9976)) == listed("next3d_state_dict.tsv")


def test_every_tensor_of_a_narrow_checkpoint_is_known():
    config = Next3DConfig(channel_base=512, channel_max=8)
    expected = listed("tiny_official_format_expected.tsv")
    del expected["dataset_label_std"]  # of the training set, of any length
    assert expected_keys(config, Sized(5165, 9946)) == expected


def test_only_tensors_that_are_used_are_in_memory():
    mesh = topology()
    with torch.device("meta"):
        released = Generator(Next3DConfig(), mesh)
    held, known = released.state_dict(), expected_keys(Next3DConfig(), mesh)
    assert {key: tuple(tensor.shape) for key, tensor in held.items()}.items() <= known.items()
    idle = {key for key in known if key not in held and not key.endswith("resample_filter")} - set(
        TOPOLOGY_KEYS
    )
    parts = ("b4", "b8", "b16", "b32", "fusion.3")
    expected = ["dense_faces", "mouth_backbone.synthesis.b4.", "mouth_backbone.synthesis.fusion.4."]
    expected += [f"neural_blending.synthesis.{part}." for part in parts]
    expected += [f"{name}.mapping." for name in ("texture_backbone", "mouth_backbone", "neural_blending")]
    assert all(key.startswith(tuple(expected)) for key in idle)
    assert all(any(key.startswith(start) for key in idle) for start in expected)


def test_stages_have_the_stated_shapes(generator):
    ws = generator.mapping(latents(2), cameras(2))
    identity = generator.identity(ws)
    planes = generator.planes(identity, vertices(2))
    output = generator.render(planes, ws, cameras(2), depth_factor=2)
    assert ws.shape == (2, 16, 16)
    assert identity.textures.shape == (2, 5, 32, 32)
    assert identity.static.shape == planes.shape == (2, 3, 5, 32, 32)
    assert output.image.shape == (2, 3, 64, 64)
    assert output.features.shape == (2, 5, 8, 8)
    assert output.depth.shape == output.depth_weight_sum.shape == (2, 1, 16, 16)
    assert output.weight_sum.shape == (2, 1, 8, 8)
    torch.testing.assert_close(output.image_raw, output.features[:, :3])
    assert all(x.dtype is torch.float32 and x.isfinite().all() for x in vars(output).values())


def test_samples_do_not_see_each_other(generator):
    """One sample takes the path that scales kernels, three the one that scales activations."""
    z, c, v = latents(3), cameras(3), vertices(3)

    def run(rows):
        ws = generator.mapping(z[rows], c[rows])
        planes = generator.planes(generator.identity(ws), v[rows])
        return planes, generator.render(planes, ws, c[rows])

    planes, together = run(slice(None))
    for i in range(3):
        alone_planes, alone = run(slice(i, i + 1))
        torch.testing.assert_close(alone_planes[0], planes[i], atol=3e-5, rtol=0)
        for name in ("image", "features", "depth", "weight_sum"):
            torch.testing.assert_close(getattr(alone, name)[0], getattr(together, name)[i], atol=1e-4, rtol=0)


def test_planes_serve_many_cameras(generator):
    ws = generator.mapping(latents(2), cameras(2))
    planes = generator.planes(generator.identity(ws), vertices(2))
    views = cameras(6, seed=1)
    together = generator.render(planes, ws, views)
    apart = generator.render(planes.repeat_interleave(3, 0), ws.repeat_interleave(3, 0), views)
    torch.testing.assert_close(together.image, apart.image, atol=1e-5, rtol=0)
    torch.testing.assert_close(together.depth, apart.depth, atol=1e-4, rtol=0)


def test_an_identity_serves_many_expressions(generator):
    ws = generator.mapping(latents(2), cameras(2))
    identity, v = generator.identity(ws), vertices(4)
    together = generator.planes(identity.repeat(2), v)
    for i in range(2):
        rows = slice(i, i + 1)
        one = type(identity)(*(tensor[rows] for tensor in identity))
        torch.testing.assert_close(
            generator.planes(one.repeat(2), v[2 * i : 2 * i + 2]),
            together[2 * i : 2 * i + 2],
            atol=3e-5,
            rtol=0,
        )


def test_planes_are_contents_over_static_ones(generator):
    """Where no alpha is, the static planes; where it is 1, the dynamic ones; the front alone on request."""
    ws = generator.mapping(latents(2), cameras(2))
    identity, v = generator.identity(ws), vertices(2)
    parts = generator.plane_parts(identity, v)
    planes = generator.planes(identity, v)
    dynamic = torch.stack([parts.front, parts.contents[:, 1], parts.contents[:, 2]], 1)
    alpha = parts.alphas[:, :, None].expand_as(planes)
    for value, expected in ((0, identity.static), (1, dynamic)):
        chosen = alpha == value
        assert chosen.any()
        torch.testing.assert_close(planes[chosen], expected[chosen], atol=0, rtol=0)
    front = generator.planes(identity, v, "front")
    torch.testing.assert_close(front[:, 0], planes[:, 0], atol=1e-6, rtol=0)
    assert torch.equal(front[:, 1:], identity.static[:, 1:])
    # the mouth was looked at, replaced and blended
    row0, row1, column0, column1 = parts.box[0].tolist()
    changed = (parts.stitched != parts.contents[:, 0])[0].any(0)
    assert changed[row0:row1, column0:column1].all()
    assert changed.sum() == (row1 - row0) * (column1 - column0)


def test_depth_at_twice_the_resolution_is_that_of_a_render_there(generator):
    ws = generator.mapping(latents(2), cameras(2))
    planes = generator.planes(generator.identity(ws), vertices(2))
    fine = generator.render(planes, ws, cameras(2), 16, seeded(1))
    both = generator.render(planes, ws, cameras(2), 8, seeded(1), depth_factor=2)
    torch.testing.assert_close(both.depth, fine.depth, atol=1e-6, rtol=0)
    torch.testing.assert_close(both.depth_weight_sum, fine.weight_sum, atol=1e-6, rtol=0)


def test_the_same_generator_gives_the_same_image(generator):
    ws = generator.mapping(latents(1), cameras(1))
    v = vertices(1)

    def run(seed):
        noise, uniforms = seeded(seed), seeded(seed + 10)
        planes = generator.planes(generator.identity(ws, noise), v, noise=noise)
        return generator.render(planes, ws, cameras(1), uniforms=uniforms).image

    assert torch.equal(run(1), run(1))
    assert not torch.allclose(run(1), run(2))


def test_strata_without_a_generator_are_the_mean_of_many_draws(generator):
    ws = generator.mapping(latents(1), cameras(1))
    planes = generator.planes(generator.identity(ws), vertices(1))
    still = generator.render(planes, ws, cameras(1))
    assert torch.equal(still.image, generator.render(planes, ws, cameras(1)).image)
    drawn = torch.stack(
        [generator.render(planes, ws, cameras(1), uniforms=seeded(i)).weight_sum for i in range(40)]
    )
    assert (still.weight_sum - drawn.mean(0)).abs().max() < 4 * drawn.std(0).max()


@pytest.mark.parametrize("n", [1, 2])
def test_nothing_reads_a_value_back_on_the_way_to_the_image(generator, monkeypatch, n):
    """Fake tensors have no values: whatever would wait for the device raises."""
    monkeypatch.setattr(Generator, "_limits", lambda self: (2 * 32 * 32, 8))  # as on an accelerator
    with FakeTensorMode(allow_non_fake_inputs=True):
        ws = generator.mapping(torch.zeros(n, CONFIG.z_dim), torch.zeros(n, 25), 0.7, 8)
        planes = generator.planes(generator.identity(ws), torch.zeros(n, *vertices(1).shape[1:]))
        assert generator.render(planes, ws, torch.zeros(2 * n, 25), depth_factor=2).image.shape == (
            2 * n,
            3,
            64,
            64,
        )


def test_accelerators_limits_suffice(generator, monkeypatch):
    ws = generator.mapping(latents(2), cameras(2))
    counted = generator.planes(generator.identity(ws), vertices(2))
    monkeypatch.setattr(Generator, "_limits", lambda self: (2 * 32 * 32, 8))
    assert torch.equal(generator.planes(generator.identity(ws), vertices(2)), counted)


def test_density_is_what_the_volume_holds(generator):
    ws = generator.mapping(latents(2), cameras(2))
    planes = generator.planes(generator.identity(ws), vertices(2))
    points = (torch.rand(2, 50, 3, generator=seeded(0)) - 0.5) * 1.1
    sampled = (
        sum(
            F.grid_sample(planes[:, i], 2 * points[:, None][..., axes], align_corners=False)[:, :, 0]
            for i, axes in enumerate(([0, 1], [0, 2], [2, 1]))
        ).mT
        / 3
    )  # n m c
    state = generator.decoder.state_dict()
    x = F.softplus(sampled @ state["net.0.weight"].T / math.sqrt(5) + state["net.0.bias"])
    expected = x @ state["net.2.weight"][:1].T / math.sqrt(8) + state["net.2.bias"][:1]
    torch.testing.assert_close(generator.density(planes, points), expected, atol=1e-4, rtol=0)


# Largest and mean error of the image (-1..1), mean error of depth (volume units): the README's bounds, which
# hold for the released configuration; the shrunken one keeps within them too.
BOUNDS = {"bf16": (0.1, 0.01, 0.005), "fp16": (0.015, 0.0015, 0.001)}


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("n", [1, 2])
def test_fast_modes_stay_near_fp32(generator, precision, n):
    fast = Generator.random(CONFIG, topology(), precision=precision)
    outputs = []
    for each in (generator, fast):
        ws = each.mapping(latents(n), cameras(n))
        planes = each.planes(each.identity(ws), vertices(n))
        outputs.append(each.render(planes, ws, cameras(n)))
    worst, mean, depth = BOUNDS[precision]
    error = (outputs[0].image - outputs[1].image).abs()
    assert 0 < error.max() <= worst
    assert error.mean() <= mean
    assert (outputs[0].depth - outputs[1].depth).abs().mean() <= depth
    assert outputs[1].image.dtype is torch.float32


def test_wrong_arguments_are_named(generator):
    ws = generator.mapping(latents(2), cameras(2))
    identity = generator.identity(ws)
    with pytest.raises(ValueError, match=r"vertices have shape \(2, 452, 2\)"):
        generator.planes(identity, vertices(2)[..., :2])
    with pytest.raises(ValueError, match="variant 'side'"):
        generator.planes(identity, vertices(2), "side")
    with pytest.raises(ValueError, match="3 cameras for 2 planes"):
        generator.render(identity.static, ws, cameras(3))
    with pytest.raises(ValueError, match="precision 'int8'"):
        Generator.random(CONFIG, topology(), precision="int8")


# Files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A checkpoint's folder without the mesh's buffers, which the topology file replaces."""
    save_folder(tmp_path / "next3d", random_state_dict(CONFIG, topology()), CONFIG, topology())
    return tmp_path / "next3d"


def test_a_folder_gives_the_generator_back(folder, generator):
    loaded = Generator.load(folder)
    ws = [each.mapping(latents(1), cameras(1)) for each in (generator, loaded)]
    assert torch.equal(*ws)
    assert torch.equal(*(each.identity(ws[0]).static for each in (generator, loaded)))


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json", "topology.safetensors"])
def test_files_that_are_missing_or_damaged_are_named(folder, name):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=name):
        Generator.load(folder)
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        Generator.load(folder)


def altered(state, change):
    key = "backbone.synthesis.b8.conv0.weight"
    if change == "missing":
        del state[key]
    elif change == "unknown":
        state["backbone.synthesis.b8.conv2.weight"] = state[key].clone()
    elif change == "shape":
        state[key] = state[key][:, :, :2].contiguous()
    elif change == "dtype":
        state[key] = state[key].long()
    elif change == "filter":
        state["backbone.synthesis.b8.resample_filter"] += 1
    elif change == "mesh":
        state["faces"] = torch.zeros(1, len(topology().faces), 3, dtype=torch.int64)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "conv0.weight is missing"),
        ("unknown", "unknown tensor .*conv2.weight"),
        ("shape", r"conv0.weight has shape \(16, 16, 2, 3\); the configuration needs \(16, 16, 3, 3\)"),
        ("dtype", "conv0.weight holds torch.int64"),
        ("filter", "resample_filter is not the filter"),
        ("mesh", "faces is not that of the topology"),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, change, message):
    path = folder / "weights.safetensors"
    save_file(altered(load_file(path), change), path)
    with pytest.raises(ValueError, match=message) as error:
        Generator.load(folder)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_configuration_of_another_size_is_refused(folder):
    (folder / "config.json").write_text(json.dumps(replace(CONFIG, channel_max=8).to_dict()))
    with pytest.raises(ValueError, match="the configuration needs"):
        Generator.load(folder)


def test_buffers_of_the_mesh_and_of_older_files_are_taken_lightly(folder):
    path = folder / "weights.safetensors"
    state = load_file(path) | topology().buffers() | {"dataset_label_std": torch.ones(25)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_state(state, CONFIG, topology())
    state |= {"orth_scale": torch.tensor(5.0), "orth_shift": torch.zeros(3)}
    save_file({key: tensor.clone() for key, tensor in state.items()}, path)
    with pytest.warns(UserWarning, match="orth_scale, orth_shift"):
        load_folder(folder)


# Configuration ---------------------------------------------------------------------------------------------


@given(
    base=st.integers(8, 1 << 16),
    scale=st.floats(-10, 10),
    zero=st.booleans(),
    samples=st.integers(1, 200),
    white=st.booleans(),
)
def test_configuration_survives_json(base, scale, zero, samples, white):
    rendering = RenderConfig(depth_resolution=samples, white_back=white)
    config = Next3DConfig(channel_base=base, c_scale=scale, c_gen_conditioning_zero=zero, rendering=rendering)
    assert Next3DConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@settings(deadline=None)
@given(st.sampled_from(["channel_base", "z_dim", "plane_resolution", "c_scale", "sr_channels", "rendering"]))
def test_configuration_refuses_other_types(name):
    with pytest.raises(ValueError, match=name):
        Next3DConfig.from_dict({name: "many"})


def test_configuration_refuses_unknown_names_and_impossible_sizes():
    with pytest.raises(ValueError, match="unknown rendering.ray_middle"):
        Next3DConfig.from_dict({"rendering": {"ray_middle": 1.0}})
    with pytest.raises(ValueError, match="unknown depth"):
        Next3DConfig.from_dict({"depth": 1})
    for values in ({"plane_resolution": 48}, {"mouth_final": 64}, {"img_resolution": 256}, {"z_dim": 0}):
        with pytest.raises(ValueError, match=next(iter(values))):
            Next3DConfig.from_dict(values)
