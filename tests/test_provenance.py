"""Hashes follow bytes and names, and nothing else."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from synthforge.errors import AssetError
from synthforge.provenance import arrays_sha256, dataset_sha256, files_sha256, folder_sha256, value_sha256


def folder(path: Path, **files: bytes) -> str:
    """Write files and give the folder's hash."""
    path.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(data)
    return folder_sha256(path, [p for p in path.rglob("*") if p.is_file()])


def test_a_files_hash_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = os.urandom((1 << 20) + 7)
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "b").write_bytes(b"more")
    assert files_sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()
    assert files_sha256(tmp_path / "a", tmp_path / "b") == hashlib.sha256(data + b"more").hexdigest()


def test_a_folders_hash_covers_names_and_bytes_but_not_its_place(tmp_path: Path) -> None:
    first = folder(tmp_path / "a", x=b"one", y=b"two")
    assert folder(tmp_path / "b", y=b"two", x=b"one") == first
    assert folder(tmp_path / "c", x=b"One", y=b"two") != first  # the same names and lengths
    assert folder(tmp_path / "d", y=b"one", x=b"two") != first
    assert folder(tmp_path / "e", x=b"one", z=b"two") != first


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"none\.png: cannot be read \(No such file"):
        folder_sha256(tmp_path, [tmp_path / "none.png"])


def test_arrays_are_told_apart_by_name_type_shape_and_bytes() -> None:
    base = {"a": np.arange(6, dtype=np.int32), "b": np.zeros(2)}
    assert arrays_sha256(dict(reversed(base.items()))) == arrays_sha256(base)
    for other in (
        {"c": base["a"], "b": base["b"]},
        base | {"a": base["a"].view(np.float32)},
        base | {"a": base["a"].reshape(2, 3)},
        base | {"b": np.array([0, 1e-300])},
    ):
        assert arrays_sha256(other) != arrays_sha256(base)
    assert arrays_sha256({"a": base["a"].reshape(2, 3).T}) == arrays_sha256(
        {"a": np.array([[0, 3], [1, 4], [2, 5]], np.int32)}
    )


def test_order_of_keys_does_not_count_and_order_of_shards_does() -> None:
    assert value_sha256({"a": 1, "b": [1, 2]}) == value_sha256({"b": [1, 2], "a": 1})
    assert value_sha256({"a": 1}) != value_sha256({"a": 2})
    index = {"shards": [{"sha256": "aa"}, {"sha256": "bb"}]}
    assert dataset_sha256(index) == hashlib.sha256(b"aabb").hexdigest()
