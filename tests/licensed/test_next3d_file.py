"""Network pickles: the official format loads exactly; hostile, damaged and other files are refused."""

import csv
import gzip
import json
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from next3d.config import Next3DConfig, RenderConfig
from next3d.topology import Topology
from next3d.weights import expected_keys, load_folder, random_state_dict

from synthforge.errors import AssetError
from synthforge.licensed import next3d_file
from synthforge.licensed.next3d_file import (
    check_next3d,
    convert,
    install_next3d,
    network_tensors,
    read_network,
)
from synthforge.licensed.pickle_values import Stub
from synthforge.licensed.torch_storage import TensorData
from tests.helpers.pickle_writer import Call, Name, generator_state, network_file, written
from tests.helpers.shared import shared_path

CONFIG = Next3DConfig(
    z_dim=4, w_dim=4, channel_base=32, channel_max=4, plane_resolution=8, plane_features=4,
    mouth_resolution=8, mouth_final=4, blending_final=4, decoder_hidden=4, neural_resolution=8,
    sr_resolution=16, sr_channels=(4, 3), img_resolution=64,
    rendering=RenderConfig(depth_resolution=6, depth_resolution_importance=5),
)  # fmt: skip
TOPOLOGY = Topology(
    n_vertices=4, faces=np.array([[0, 1, 2], [0, 2, 3]]), uv=np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]),
    uv_faces=np.array([[0, 1, 2], [0, 2, 3]]), uv_mask=np.eye(16),
)  # fmt: skip


@pytest.fixture(scope="module")
def tensors():
    return random_state_dict(CONFIG, TOPOLOGY)


@pytest.fixture
def state(tensors):
    return generator_state(CONFIG, TOPOLOGY, tensors)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHFORGE_HOME", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def sentinel(tmp_path):
    path = tmp_path / "it-ran"
    yield path
    assert not path.exists(), "code of the file was run"


def saved(folder: Path, data: bytes) -> Path:
    path = folder / "network.pkl"
    path.write_bytes(data)
    return path


def refused(folder: Path, data: bytes, store: Path) -> str:
    """The one line a file is refused with; the store stays empty."""
    with pytest.raises(AssetError) as caught:
        install_next3d(saved(folder, data))
    message = str(caught.value)
    assert "network.pkl" in message and "\n" not in message and len(message) < 700
    assert not store.exists() or not any(store.iterdir())
    return message


def test_official_format_loads_exactly():
    path = shared_path("tiny_official_format.pkl.gz")
    network = read_network(path)
    tensors = network_tensors(network, str(path))
    with shared_path("tiny_official_format_expected.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert list(tensors) == [row["key"] for row in rows] and len(rows) == 675
    for row in rows:
        array = tensors[row["key"]].array("x")
        assert list(array.shape) == json.loads(row["shape"]), row["key"]
        assert str(array.dtype) == row["dtype"], row["key"]
        # the sums were written with 9 digits
        assert float(array.astype(np.float64).sum()) == pytest.approx(
            float(row["sum_float64"]), rel=1e-8, abs=1e-9
        )
        assert float(f"{array.flat[0]:.9g}") == float(row["first"]), row["key"]


def test_official_format_converts(store, tmp_path):
    path = shared_path("tiny_official_format.pkl.gz")
    folder, new = install_next3d(path)
    assert new and folder == store / "next3d" and sorted(p.name for p in store.iterdir()) == ["next3d"]
    state, config, topology = load_folder(folder)
    assert config == Next3DConfig(channel_base=512, channel_max=8)  # all else is as released
    assert (
        topology.n_vertices == 5023
        and topology.faces.shape == (9946, 3)
        and topology.uv_mask.shape == (256, 256)
    )
    assert set(state) == set(expected_keys(config, topology)) - set(topology.buffers()) - {"dense_faces"}
    stored = network_tensors(read_network(path), "x")
    for key, tensor in state.items():
        np.testing.assert_array_equal(tensor.numpy(), stored[key].array("x"))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_every_tensor_and_option_arrives(state, tensors, store, tmp_path, protocol):
    path = saved(tmp_path, network_file(state, protocol))
    folder, new = install_next3d(path)
    found, config, topology = load_folder(folder)
    assert new and config == CONFIG and topology.n_vertices == 4
    for name in ("faces", "uv", "uv_faces", "uv_mask"):
        assert torch.equal(getattr(topology, name), getattr(TOPOLOGY, name)), name
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[key], tensors[key]) for key in tensors)
    about = json.loads((folder / "source.json").read_text())
    assert (
        about["class"] == "TriPlaneGenerator"
        and about["notes"] == []
        and about["bytes"] == path.stat().st_size
    )


def test_installing_is_idempotent_and_replaces_whole(state, store, tmp_path, monkeypatch):
    path = saved(tmp_path, network_file(state))
    folder, _ = install_next3d(path)
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert install_next3d(path) == (folder, False)
    assert before == {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert "64 px images from 8 px features" in check_next3d(folder)

    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    with pytest.raises(AssetError, match="damaged: weights.safetensors"):
        check_next3d(folder)
    assert install_next3d(path)[1] and check_next3d(folder)  # repaired
    monkeypatch.setattr(next3d_file, "CONVERSION", 99)
    with pytest.raises(AssetError, match="another version"):
        check_next3d(folder)
    assert install_next3d(path)[1] and [p.name for p in store.iterdir()] == ["next3d"]
    (folder / "mine.txt").write_text("notes of the user")
    state["neural_rendering_resolution"] = 16
    with pytest.raises(AssetError, match="holds other files: .*mine.txt"):
        install_next3d(saved(tmp_path, network_file(state)))
    assert (folder / "mine.txt").exists() and [p.name for p in store.iterdir()] == ["next3d"]


def test_failed_write_leaves_what_was_there(state, store, tmp_path, monkeypatch):
    path = saved(tmp_path, network_file(state))
    folder, _ = install_next3d(path)
    state["neural_rendering_resolution"] = 16
    other = saved(tmp_path, network_file(state))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AssetError, match="No space left"):
        install_next3d(other)
    assert [p.name for p in store.iterdir()] == ["next3d"] and "8 px features" in check_next3d(folder)


def part(state, name):
    return state["_modules"][name].args[0]["state"]


def _renamed(state):
    buffers = part(part(state, "backbone"), "mapping")["_buffers"]
    buffers["other"] = buffers.pop("w_avg")


def _reshaped(state):
    part(part(state, "backbone"), "mapping")["_buffers"]["w_avg"] = torch.zeros(5)


def _nan(state):
    part(part(state, "backbone"), "mapping")["_buffers"]["w_avg"] = torch.tensor([0, 1, float("nan"), 2])


def _integers(state):
    part(part(state, "backbone"), "mapping")["_buffers"]["w_avg"] = torch.arange(4)


def _other_filter(state):
    block = part(part(state, "superresolution"), "block0")["_buffers"]
    block["resample_filter"] = 2 * block["resample_filter"]


def _other_uv(state):
    state["_buffers"]["uvcoords"] = state["_buffers"]["uvcoords"] + 0.5


def _other_faces(state):
    state["_buffers"]["faces"] = state["_buffers"]["faces"] - 1


def _no_mask(state):
    del state["uv_face_mask"]


def _disparity(state):
    state["rendering_kwargs"]["disparity_space_sampling"] = True


def _huge_samples(state):
    state["rendering_kwargs"]["depth_resolution"] = 10**9


def _wide(state):
    state["_init_kwargs"]["channel_max"] = 8


def _cycle(state):
    state["_modules"]["again"] = Call(Name("training.x", "Y"), (), state)


@pytest.mark.parametrize(
    "edit, told",
    [
        (_renamed, "1 tensors are missing: backbone.mapping.w_avg"),
        (_reshaped, r"backbone.mapping.w_avg \(5,\), not \(4,\)"),
        (_nan, "backbone.mapping.w_avg holds NaN"),
        (_integers, "backbone.mapping.w_avg holds int64"),
        (_other_filter, "superresolution.block0.resample_filter"),
        (_other_uv, "uvcoords is not that of the topology"),
        (_other_faces, "faces holds indices -1"),
        (_no_mask, "uv_face_mask"),
        (_disparity, "disparity_space_sampling = True"),
        (_huge_samples, "depth_resolution = 1000000000"),
        (_wide, "tensors have another shape: .* not "),
        (_cycle, "is not a network"),
    ],
)
def test_another_architecture_is_refused_by_name(edit, told, state, store, tmp_path):
    edit(state)
    with pytest.raises(AssetError, match=told):
        install_next3d(saved(tmp_path, network_file(state)))
    assert not store.exists()


def test_unused_tensors_and_trained_constants_are_noted(state, store, tmp_path):
    state["_buffers"] |= {"dataset_label_std": torch.ones(3), "novel": torch.ones(2)}
    state["orth_scale"] = torch.tensor([[4.97]])
    folder, _ = install_next3d(saved(tmp_path, network_file(state)))
    line = check_next3d(folder)
    assert "no use for: novel" in line and "orth_scale is not (5.0,)" in line and "\n" not in line


def test_tensors_of_a_gpu_and_views_of_one_storage(tmp_path):
    base = torch.arange(24.0)
    views = {
        "whole": base.view(4, 6),
        "part": base.view(4, 6)[1:, ::2].t(),
        "half": base[:3].half(),
        "none": base[:0],
    }
    data = written(
        {"G_ema": Call(Name("training.x", "Y"), (), {"_parameters": {}, "_modules": {}, "_buffers": views})}
    )
    assert data.count(b"X\x03\x00\x00\x00cpu") == 4
    data = data.replace(b"X\x03\x00\x00\x00cpu", b"X\x03\x00\x00\x00gpu")
    tensors = network_tensors(read_network(saved(tmp_path, data)), "x")
    for key, view in views.items():
        np.testing.assert_array_equal(tensors[key].array("x"), view.numpy())


def legacy(storage: object, numbers: bytes = b"", count: int = 0, protocol: int = 1001) -> bytes:
    """Bytes of a saved storage, with any object in the place of its storage."""
    system = {"protocol_version": protocol, "little_endian": True}
    head = [written(v, 2) for v in (0x1950A86A20F9469CFC6C, protocol, system)]
    return b"".join([*head, written(storage, 2), written(["0"], 2), count.to_bytes(8, "little"), numbers])


def tensor(saved_storage: object, offset=0, size=(2,), stride=(1,)) -> Call:
    storage = Call(Name("torch.storage", "_load_from_bytes"), (saved_storage,))
    return Call(Name("torch._utils", "_rebuild_tensor_v2"), (storage, offset, size, stride, False, {}))


def good_storage() -> bytes:
    _, (storage, *_) = torch.arange(4.0).__reduce_ex__(2)
    return storage.__reduce__()[1][0]


def test_hostile_storages(sentinel, tmp_path):
    order = f"touch {sentinel}"
    good = good_storage()
    cases = {
        "os system": tensor(legacy(Call(Name("os", "system"), (order,)))),
        "builtins eval": tensor(written(Call(Name("builtins", "eval"), (f"open({str(sentinel)!r}, 'w')",)))),
        "beyond": tensor(good, offset=3),
        "stride": tensor(good, size=(2, 2), stride=(1, 1 << 40)),
        "negative": tensor(good, size=(-1,)),
        "repeated": tensor(good, size=(1 << 20, 1 << 20), stride=(0, 0)),
        "no shape": tensor(good, size=[2]),
        "bool": tensor(good, size=(True,)),
        "version": tensor(legacy(None, protocol=1002)),
        "nothing": tensor(b""),
        "text": tensor("abc"),
        "none": tensor(None),
        "empty storage": tensor(legacy(None)),
        "ints": tensor(legacy((1, 2, 3, 4, 5))),
        "longer": tensor(good + b"\0" * 4),
        "shorter": tensor(good[:-1]),
    }
    for name, case in cases.items():
        state = {"_parameters": {}, "_modules": {}, "_buffers": {"w": case}}
        network = read_network(saved(tmp_path, written({"G_ema": Call(Name("training.x", "Y"), (), state)})))
        with pytest.raises(AssetError) as caught:
            network_tensors(network, "network.pkl")["w"].array("network.pkl")
        assert " " not in name or name in str(caught.value) or name.split()[-1] in ("shape", "storage")
    for end in range(len(good)):
        with pytest.raises(AssetError):
            TensorData(good[:end], 0, (4,), (1,)).array("x")
    for seed in range(400):
        rng = random.Random(seed)
        flipped = bytearray(good)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        try:
            assert TensorData(bytes(flipped), 0, (4,), (1,)).array("x").shape == (4,)
        except AssetError:
            pass


def test_hostile_code_anywhere_in_the_network(tensors, state, store, sentinel, tmp_path):
    call = Call(Name("os", "system"), (f"touch {sentinel}",))
    places = {
        "hook": lambda s: s["_backward_hooks"].update({0: call}),
        "option": lambda s: s["_init_kwargs"].update(x=call),
        "part": lambda s: s["_modules"].update(x=call),
        "buffer": lambda s: s["_buffers"].update(x=call),
        "source text": lambda s: part(s, "backbone").update(module_src=call),
        "storage": lambda s: s["_buffers"].update(raw_uvcoords=tensor(legacy(call))),
        "mask": lambda s: s.update(uv_face_mask=tensor(legacy(call), size=(1, 1, 2, 2), stride=(1, 1, 1, 1))),
        "stub": lambda s: s.update(x=Call(Name("training.x", "Y"), (call,))),
    }
    for put in places.values():
        edited = generator_state(CONFIG, TOPOLOGY, tensors)
        put(edited)
        assert "refused: it asks for `os system`" in refused(tmp_path, network_file(edited), store)
    # Classes that the original's modules might hold stay names and data, whatever they are called.
    state["x"] = Call(
        Name("training.os", "system"), (f"touch {sentinel}",), {"__class__": "x", "__dict__": {}}
    )
    assert install_next3d(saved(tmp_path, network_file(state)))[1]


def test_other_files_are_told_apart(store, tmp_path):
    assert "no generator `G_ema`" in refused(tmp_path, written({"G": 1}), store)
    assert "no generator `G_ema`" in refused(tmp_path, written([1, 2]), store)
    assert "zip archive" in refused(tmp_path, b"PK\x03\x04" + b"\0" * 60, store)
    assert "dnnlib" not in refused(tmp_path, written(Call(Name("dnnlib.tflib.network", "Network"))), store)
    for data in (b"", b"version https://git-lfs", b"<html>not found</html>", bytes(range(256))):
        refused(tmp_path, data, store)
    with pytest.raises(AssetError, match="no such file"):
        install_next3d(tmp_path)


def test_damaged_copies(state, store, tmp_path):
    """Truncated anywhere, or with a flipped bit: one line, or (a flip inside a weight) a generator."""
    data, rng, began = network_file(state), random.Random(3), time.monotonic()
    for end in [*range(0, 200, 23), *(rng.randrange(len(data)) for _ in range(10)), len(data) - 1]:
        refused(tmp_path, data[:end], store)
    packed = gzip.compress(data, 1)
    for _ in range(8):  # a packed file has a checksum: no flip goes unseen
        flipped = bytearray(packed)
        flipped[rng.randrange(10, len(packed))] ^= 1 << rng.randrange(8)
        refused(tmp_path, bytes(flipped), store)
    survived = 0
    for _ in range(12):
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            convert(read_network(saved(tmp_path, bytes(flipped))), "network.pkl")
            survived += 1
        except AssetError as error:
            assert "\n" not in str(error)
    assert 0 < survived < 12 and time.monotonic() - began < 20


def test_damage_to_the_official_format(tmp_path):
    data = gzip.decompress(shared_path("tiny_official_format.pkl.gz").read_bytes())
    rng = random.Random(5)
    for end in [1, 400, rng.randrange(len(data)), len(data) - 1]:
        with pytest.raises(AssetError):
            read_network(saved(tmp_path, data[:end]))
    head = data.index(b"_parameters") + 3000  # structure; most of what follows is weights
    for _ in range(2):
        flipped = bytearray(data)
        flipped[rng.randrange(head)] ^= 1 << rng.randrange(8)
        try:
            network_tensors(read_network(saved(tmp_path, bytes(flipped))), "x")
        except AssetError as error:
            assert "\n" not in str(error)


def _nodes(value, found):
    """All dictionaries and stubs of a network that was read, with the places in them."""
    todo = [value]
    while todo:
        here = todo.pop()
        items = here.state if type(here) is Stub else here if type(here) is dict else None
        if type(items) is dict:
            found += [(items, key) for key in items]
            todo += items.values()
    return found


def test_any_object_in_any_place(state, tmp_path):
    """What the allow-list lets through is still no network until it is checked: no other error escapes."""
    path = saved(tmp_path, network_file(state))
    deep = []
    for _ in range(5000):
        deep = [deep]
    good = good_storage()
    values = [
        None, -1, 10**30, float("nan"), "x" * 1000, b"", [], {}, set(), deep, (deep,), np.zeros(3),
        np.float64(2), Stub("a", "b"),
        Stub("a", "b", (), deep), {"a": deep}, TensorData(None, None, None, None),
        TensorData(good, 0, (4,), (1,)), TensorData(good, 0, deep, np.zeros(2)), TensorData(deep, 0, (), ()),
        {1: Stub("a", "b")}, {"a\nb": None}, 1j, True,
    ]  # fmt: skip
    refusals, network = 0, read_network(path)
    places = _nodes(network, [])
    for seed in range(40):
        rng = random.Random(seed)
        changed = [(*rng.choice(places), rng.choice(values)) for _ in range(rng.choice([1, 1, 3]))]
        before = [owner[key] for owner, key, _ in changed]
        for owner, key, value in changed:
            owner[key] = value
        try:
            convert(network, "network.pkl")
        except AssetError as error:
            refusals += 1
            assert "\n" not in str(error) and len(str(error)) < 700
        for (owner, key, _), value in zip(changed[::-1], before[::-1], strict=True):
            owner[key] = value
    assert refusals > 20 and convert(network, "network.pkl")[0] == CONFIG
