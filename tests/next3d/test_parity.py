"""The comparison with a reference file: a real one (slow), and a shrunken one with planted faults."""

import json

import numpy as np
import pytest
import torch
from next3d import parity
from next3d.generator import Generator
from next3d.planes import mask_lookup

from tests.helpers.shared import shared_path
from tests.next3d.tiny import CONFIG, cameras, topology, vertices


def numbers(name: str) -> np.random.Generator:
    return parity.recipe_rng(name)


def uniforms(tag: str):
    """Call i gives the numbers of `tag/ui`."""
    calls = iter(range(10))
    return lambda shape: torch.from_numpy(numbers(f"{tag}/u{next(calls)}").random(shape, dtype=np.float32))


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    """A file's arrays, from the generator's public results: whole, strided, cropped, as statistics."""
    mesh, v, c, c_cond = topology(), vertices(3), cameras(3), cameras(3, seed=1)
    generator = Generator.random(CONFIG, mesh, prefix="p/")
    z = torch.from_numpy(numbers("T/z").standard_normal((3, CONFIG.z_dim)).astype(np.float32))
    seen = {}
    names = ("mouth_backbone.synthesis.encoder.1", "superresolution.block0.torgb", "backbone.synthesis.b8")
    handles = [
        generator.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: seen.setdefault(name, output)
        )
        for name in names
    ]
    ws = generator.mapping(z, c_cond, 0.7, 8)
    identity = generator.identity(ws)
    parts = generator.plane_parts(identity, v)
    planes = generator.planes(identity, v)
    output = generator.render(planes, ws, c, 12, uniforms("T"))
    for handle in handles:
        handle.remove()
    front = generator.planes(identity, v, "front")
    doubled = generator.render(front, ws, c, 12, uniforms("T/sf"), depth_factor=2)
    quiet = generator.planes(generator.identity(ws[:1], "none"), v[:1], noise="none")
    quiet = generator.render(quiet, ws[:1], c[:1], 8, uniforms("T/nonoise"))
    arrays = {
        "config": json.dumps(CONFIG.to_dict()), "weights_prefix": "p/", "tag": "T",
        "nrr": 12, "psi": np.float32(0.7), "cutoff": 8, "mesh_faces": mesh.faces, "mesh_uv": mesh.uv,
        "mesh_uv_faces": mesh.uv_faces,
        "uv_mask": (mesh.uv_mask * 255).to(torch.uint8), "v": v, "z": z, "c": c, "c_cond": c_cond,
        "ws": ws, "ws_psi1": generator.mapping(z, c_cond),
        "textures_sub8": identity.textures[..., ::8, ::8], "textures_stats": statistics(identity.textures),
        "static_plane_sub8": identity.static.flatten(1, 2)[..., ::8, ::8],
        "raster0_vis": parts.raster.visible[:, 0], "raster1_uv_sub4": grid(parts.raster, 1)[..., ::4, ::4],
        "alpha0": parts.alphas[:, 0], "uvimg_masked1_stats": statistics(uv_image(generator, parts)),
        "mouth_box_yyxx": parts.box.int(),
        "rendering2_sub8": parts.contents[:, 2, :, ::8, ::8],
        "feature_image": output.features[..., ::2, ::2], "image_depth": output.depth,
        "image_sub": output.image[..., ::4, ::4], "image_crop": output.image[..., 28:36, 28:36],
        "image_u8": (output.image * 127.5 + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1),
        "sf/image_depth": doubled.depth, "sf/image_sub": doubled.image[..., ::4, ::4], "sf/n_render_calls": 2,
        "nonoise_image_sub": quiet.image[..., ::4, ::4], "nonoise_image_raw": quiet.image_raw,
    }  # fmt: skip
    for name, value in seen.items():
        for i, tensor in enumerate(value if isinstance(value, tuple) else [value]):
            flat = tensor.reshape(-1)
            probes = [j * (len(flat) - 1) // 31 for j in range(32)]
            at = f"trace/{name}/{i}/"
            arrays |= {
                at + "stats": statistics(tensor),
                at + "probe": flat[probes],
                at + "shape": tensor.shape,
            }
    return {name: np.asarray(value) for name, value in arrays.items()}


def statistics(x: torch.Tensor) -> np.ndarray:
    x = x.double().numpy()
    return np.array([x.mean(), x.std(ddof=1), x.min(), x.max(), np.abs(x).mean()])


def uv_image(generator: Generator, parts) -> torch.Tensor:
    """Texture coordinates and a constant 1, as the left view sees them, times the mask."""
    mask = mask_lookup(parts.raster, generator.topology.uv_mask)[:, 1, None]
    return torch.cat([grid(parts.raster, 1) * mask, mask], 1)


def grid(raster, view: int) -> torch.Tensor:
    return raster.grid[:, view].permute(0, 3, 1, 2)


def test_every_array_of_a_faithful_file_is_ok(reference, tmp_path, capsys):
    np.savez(tmp_path / "good.npz", **reference)
    assert parity.main([str(tmp_path / "good.npz")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{len(reference)} of {len(reference)} arrays ok"
    assert sorted(line.split()[0] for line in lines[:-1]) == sorted(reference)


def test_each_fault_is_found_where_it_is(reference):
    """Every computed array is spoilt by thrice its tolerance, in one place: it alone fails."""
    computed = [name for name in reference if name not in parity.INPUTS and name != "image_u8"]
    spoilt = dict(reference)
    for name in computed:
        array = spoilt[name] = reference[name].copy()
        if array.dtype.kind == "b":
            array.flat[:6] ^= True  # 5 are edge pixels
        elif array.dtype.kind in "iu":
            array.flat[-1] += 1
        else:
            scale = max(3e-3 if "image_" in name else 0, 3e-4 * np.abs(array).max())
            spread = 6 if name.startswith(("raster", "alpha")) else 1
            places = np.linspace(0, array.size - 1, spread).astype(int)
            array.flat[places] += scale
    for name in list(spoilt):  # the whole tensor's magnitude sets the tolerance of its parts
        if name.endswith("_stats") or name.endswith("/stats"):
            spoilt[name][0] += 3e-4 * np.abs(spoilt[name][2:4]).max()
    verdict = {check.name: check.ok for check in parity.checks(spoilt)}
    assert {name for name, ok in verdict.items() if not ok} == set(computed)
    assert set(verdict) == set(reference)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("hair_plane", np.zeros(3)),
        ("sf/hair_plane_stats", np.zeros(5)),
        ("trace/backbone.synthesis.b512/0/stats", np.zeros(5)),
        ("trace/backbone.synthesis.b8/0/median", np.zeros(1)),
        ("textures_sub3x", np.zeros((3, 5, 4, 4))),
        ("ws_psi2", np.zeros((3, 16, 16))),
    ],
)
def test_what_cannot_be_checked_fails(reference, name, array):
    few = {key: reference[key] for key in (*parity.REQUIRED, "config")}
    (check,) = [check for check in parity.checks(few | {name: array}) if check.name == name]
    assert not check.ok
    assert check.note.startswith("unchecked")


def test_other_latents_or_weights_than_the_recipes_are_noticed(reference):
    few = {key: reference[key] for key in (*parity.REQUIRED, "config", "ws")}
    few |= {"z": few["z"] + np.float32(1e-3), "weights_sha256": np.asarray("0" * 64)}
    assert {check.name for check in parity.checks(few) if not check.ok} == {"z", "weights_sha256", "ws"}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\x93NUMPY", b"some text"])
def test_files_of_another_kind_are_refused_in_one_line(tmp_path, capsys, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    assert parity.main([str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(path) in error
    assert parity.main([str(tmp_path / "absent.npz")]) == 2
    np.savez(path, something=np.zeros(3))
    assert parity.main([str(path)]) == 2
    assert "it has no array weights_prefix" in capsys.readouterr().err


@pytest.mark.slow
def test_the_released_configuration_agrees_with_its_reference(capsys):
    status = parity.main([str(shared_path("parity_A.npz"))])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines[:-1] if not line.split()[3] == "ok"] == []
    assert status == 0
    assert lines[-1] == "520 of 520 arrays ok"
