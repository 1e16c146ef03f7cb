"""Each owner's layout, written to disk as its documentation says, comes back as the drawn face."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from synthforge.conventions import CLASS_ID, LANDMARK_FLIP
from synthforge.datasets import schemas
from synthforge.datasets.open import LAYOUTS, open_source
from synthforge.datasets.source import Source
from synthforge.errors import ConfigError, DatasetError
from tests.datasets import made_up

MAKERS = {
    "300w": made_up.make_300w,
    "lapa": made_up.make_lapa,
    "lapa-d": made_up.make_lapa_d,
    "celebamask": made_up.make_celebamask,
    "celebamask-farl": made_up.make_celebamask,
    "celebamask-datagen16": made_up.make_celebamask,
    "helen": made_up.make_helen,
    "wflw": made_up.make_wflw,
    "facesynthetics": made_up.make_facesynthetics,
}
TABLES = [
    schemas.LAPA_CLASSES,
    schemas.CELEBAMASK_CLASSES,
    schemas.DATAGEN16_CLASSES,
    schemas.FACESYNTHETICS_CLASSES,
]


def test_every_layout_is_tried():
    assert set(MAKERS) == set(LAYOUTS) - {"custom", "shards"}


@pytest.mark.parametrize("layout", MAKERS)
def test_the_drawn_face_comes_back(layout, tmp_path):
    source = open_source(layout, [MAKERS[layout](tmp_path)])
    assert isinstance(source, Source) and len(source) >= 3
    sample = source[1]
    assert sample.rgb.shape == (made_up.SIZE, made_up.SIZE, 3)
    assert bool(source.info.points) == (sample.points is not None)
    if source.info.points:
        np.testing.assert_allclose(sample.points, made_up.points68(), atol=1e-4)
    masks = made_up.face()
    for c in source.info.schema.rows[1:]:
        drawn = [masks[s] for s in c.sources if s in masks]
        expected = np.any(drawn, axis=0) if drawn else np.zeros((made_up.SIZE,) * 2, bool)
        expected &= sample.target != 255
        np.testing.assert_array_equal(sample.target == c.id, expected, err_msg=c.name)


@pytest.mark.parametrize("layout", MAKERS)
def test_the_hash_covers_every_byte_of_every_file_and_not_where_they_lie(layout, tmp_path):
    folder = MAKERS[layout](tmp_path / "a")
    kept = open_source(layout, [folder]).sha256
    moved = shutil.copytree(folder, tmp_path / "b")
    assert open_source(layout, [moved]).sha256 == kept
    for path in {
        part for item in open_source(layout, [moved]).items for part in item if isinstance(part, Path)
    }:
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # of the same name and length
        assert open_source(layout, [moved]).sha256 != kept, path
        path.write_bytes(whole)
    assert open_source(layout, [moved]).sha256 == kept


@pytest.mark.parametrize("table", TABLES, ids=["lapa", "celebamask", "datagen16", "facesynthetics"])
def test_each_of_our_classes_has_one_owner(table):
    owned = [s for c in table for s in c.sources]
    assert sorted(owned) == sorted(CLASS_ID)
    assert [c.id for c in table] == list(range(len(table)))


def test_flip_pairs_are_the_published_ones():
    # LaPa/HELEN* (2,3)(4,5), CelebAMask (4,5)(6,7)(8,9), FaceSynthetics (3,4)(5,6)(7,8); defect D14
    # exchanges (4,5)(6,7)(8,9) in FaceSynthetics too.
    expected = [{2: 3, 4: 5}, {4: 5, 6: 7, 8: 9}, {4: 5, 6: 7, 8: 9}, {3: 4, 5: 6, 7: 8}]
    for table, pairs in zip(TABLES, expected, strict=True):
        flip = table.flip
        assert {i: int(j) for i, j in enumerate(flip) if i < j} == pairs
        np.testing.assert_array_equal(flip[flip], np.arange(256))


@pytest.mark.parametrize(
    ("layout", "train", "test"),
    [
        (
            "300w",
            {"afw/1", "helen/trainset/2"},
            {"lfpw/testset/3", "ibug/image_4 _01", "01_Indoor/indoor_001"},
        ),
        ("helen", {"p_1", "q_1"}, {"r_1"}),
        ("wflw", {"0--Parade/x.jpg", "0--Parade/x.jpg#2", "1--Car/y.jpg"}, {"1--Car/z.jpg"}),
        ("facesynthetics", {"000001", "000002"}, {"000000"}),
    ],
)
def test_splits_follow_the_owner(layout, train, test, tmp_path):
    folder = MAKERS[layout](tmp_path)
    for split, names in (("train", train), ("test", test)):
        source = open_source(layout, [folder], split)
        assert {source[i].name for i in range(len(source))} == names
    if layout != "helen":
        with pytest.raises(DatasetError, match="E101.*val split"):
            open_source(layout, [folder], "val")


def test_lapa_by_root_or_by_split(tmp_path):
    for split, names in (("train", "ab"), ("val", "c"), ("test", "d")):
        made_up.make_lapa(tmp_path / "LaPa", split, names)
    count = lambda folder, split: len(open_source("lapa", [folder], split))  # noqa: E731
    assert [count(tmp_path, s) for s in ("train", "val", "test", "all")] == [2, 1, 1, 4]
    assert count(tmp_path / "LaPa/test", "all") == count(tmp_path / "LaPa/test", "test") == 1
    with pytest.raises(DatasetError, match="is the test split, not the train split"):
        count(tmp_path / "LaPa/test", "train")


def test_helen_tuning_list_is_val(tmp_path):
    made_up.make_helen(tmp_path)
    (tmp_path / "tuning.txt").write_text("1 , q_1\n")
    names = lambda split: [s.name for s in map(open_source("helen", [tmp_path], split).__getitem__, [0])]  # noqa: E731
    assert names("train") == ["p_1"] and names("val") == ["q_1"]


@pytest.mark.parametrize("with_partition", [True, False])
def test_celebamask_splits_are_celebas(tmp_path, with_partition):
    made_up.make_celebamask(tmp_path, (0, 1, 2, 3))
    rows = ["idx orig_idx orig_file"]
    rows += [f"{i}  {n}  {n + 1:06d}.jpg" for i, n in enumerate((5, 162770, 162771, 182638))]
    (tmp_path / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(rows))
    if with_partition:  # wins over the numbers
        lines = ["000006.jpg 2", "162771.jpg 0", "162772.jpg 1", "182639.jpg 0"]
        (tmp_path / "list_eval_partition.txt").write_text("\n".join(lines))
    found = {
        s: [i[0].stem for i in open_source("celebamask", [tmp_path], s).items] for s in ("train", "test")
    }
    expected = (
        {"train": ["1", "3"], "test": ["0"]} if with_partition else {"train": ["0", "1"], "test": ["3"]}
    )
    assert found == expected


def test_ignore_stays_unknown(tmp_path):
    sample = open_source("facesynthetics", [made_up.make_facesynthetics(tmp_path)])[0]
    assert (sample.target[:3] == 255).all() and (sample.target[3:] != 255).all()


@pytest.mark.parametrize("bright_is_near", [True, False])
def test_lapa_d_depth_grows_with_distance(tmp_path, bright_is_near):
    source = open_source("lapa-d", [made_up.make_lapa_d(tmp_path, bright_is_near)], "train")
    sample = source[0]
    assert source.info.depth == "relative" and source.bright_is_near == bright_is_near
    assert sample.depth[70, 64] < sample.depth[70, 40] < sample.depth[110, 30]
    assert np.isinf(sample.depth[sample.target == 0]).all()


def test_lapa_d_may_lie_apart(tmp_path):
    made_up.make_lapa_d(tmp_path / "d")
    (tmp_path / "d/train").rename(tmp_path / "train")
    assert len(open_source("lapa-d", [tmp_path, tmp_path / "d"], "train")) == 3


def test_custom_describes_its_own_folder(tmp_path):
    with pytest.raises(DatasetError, match=r"has no dataset\.yaml"):
        open_source("custom", [tmp_path])
    made_up.make_lapa(tmp_path)
    (tmp_path / "dataset.yaml").write_text(
        "name: mine\nsets: [{images: 'train/images/*.jpg', masks: 'train/labels/{stem}.png'}]\n"
        "classes: [{id: 0, name: rest, from: [background]}, {id: 1, name: skin, from: [skin]}]\n"
        "ignore: [2, 3, 4, 5, 6, 7, 8, 9, 10]\n"
    )
    assert set(np.unique(open_source("custom", [tmp_path])[0].target)) == {0, 1, 255}
    with pytest.raises(ConfigError, match="unknown layout 'lapaa'.*celebamask-farl"):
        open_source("lapaa", [tmp_path])


def test_wflw_and_lapa_keep_the_sides_of_the_68(tmp_path):
    for layout in ("wflw", "lapa"):
        points = open_source(layout, [MAKERS[layout](tmp_path / layout)])[0].points
        mirrored = points * (-1, 1)
        np.testing.assert_array_less(points[36:42, 0], points[42:48, 0])
        np.testing.assert_array_less(mirrored[LANDMARK_FLIP][36:42, 0], mirrored[LANDMARK_FLIP][42:48, 0])
