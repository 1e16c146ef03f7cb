"""Parsers, painting and the side check for any input, against slow or closed-form truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from synthforge.conventions import ClassSchema
from synthforge.datasets.celebamask import MERGE_ORDERS, paint
from synthforge.datasets.facesynthetics import read_ldmks
from synthforge.datasets.helen import read_list
from synthforge.datasets.lapa import read_lapa_points
from synthforge.datasets.sample import CheckError, Sample
from synthforge.datasets.schemas import CELEBAMASK_CLASSES, CELEBAMASK_PARTS, LAPA_CLASSES
from synthforge.datasets.sides import observed_sides
from synthforge.datasets.w300 import read_pts
from synthforge.datasets.wflw import parse_wflw
from tests.datasets import made_up

coordinates = st.floats(-2000, 9000, allow_nan=False, width=32)
FILES = {  # reader, points, shift from the file's coordinates to continuous pixels, text of rows
    "pts": (read_pts, 68, -0.5, lambda rows: "version: 1\nn_points: 68\n{\n" + "\n".join(rows) + "\n}"),
    "lapa": (read_lapa_points, 106, 0.5, lambda rows: "106\n" + "\n".join(rows)),
    "ldmks": (read_ldmks, 70, 0.0, lambda rows: "\n".join(rows)),
}


@pytest.mark.parametrize("kind", FILES)
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_points_survive_any_blanks(tmp_path_factory, kind, data):
    read, n, shift, text = FILES[kind]
    points = data.draw(arrays(np.float64, (n, 2), elements=coordinates))
    gap, end = (
        data.draw(st.sampled_from([" ", "   ", "\t"])),
        data.draw(st.sampled_from(["", " ", "\r", "\n"])),
    )
    path = tmp_path_factory.mktemp("points") / "x"
    path.write_bytes(text([f"{x!r}{gap}{y!r}{end}" for x, y in points.tolist()]).encode())
    np.testing.assert_allclose(read(path), points + shift, rtol=0, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(arrays(np.float64, (98, 2), elements=coordinates), st.sampled_from(["a.jpg", "0--Parade/b c_1.jpg"]))
def test_wflw_lines(points, name):
    line = " ".join([*(repr(v) for v in points.ravel().tolist()), *["3"] * 4, *["0"] * 6, name])
    read, found = parse_wflw(line, "list, line 1")
    assert found == name
    np.testing.assert_allclose(read, points + 0.5, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "line", ["1 2 3", " ".join(["1"] * 206), " ".join(["x"] * 207), " ".join(["nan"] * 207)]
)
def test_bad_wflw_lines_say_where(line):
    with pytest.raises(CheckError, match="list, line 7: E107"):
        parse_wflw(line, "list, line 7")


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=60)
@pytest.mark.parametrize("kind", FILES)
def test_rubbish_is_one_clear_error(tmp_path_factory, kind, data):
    path = tmp_path_factory.getbasetemp() / f"rubbish_{kind}"
    path.write_bytes(data)
    with pytest.raises(CheckError, match=f"rubbish_{kind}: E107"):
        FILES[kind][0](path)


def test_lists_of_names(tmp_path):
    (tmp_path / "l").write_text("1 , 100032540_1\r\n2 , 1030333538_1\n\nalone\n")
    assert read_list(tmp_path / "l") == {"100032540_1", "1030333538_1", "alone"}


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(list(CELEBAMASK_PARTS)),
        arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 255])),
        min_size=1,
    ),
    st.sampled_from(["official", "farl", "datagen16"]),
)
def test_paint_is_the_last_part_that_covers_a_pixel(parts, order):
    ids = paint(parts, order)
    names = list(CELEBAMASK_PARTS)
    if order == "datagen16":
        names = [n for n in names if n not in ("ear_r", "neck_l", "cloth")]
    for y, x in np.ndindex(4, 5):
        covering = [p for p in MERGE_ORDERS[order] if p in parts and parts[p][y, x]]
        assert ids[y, x] == (1 + names.index(covering[-1]) if covering else 0)


def test_merge_orders_differ_where_the_spec_says():
    """g_mask.py paints neck and cloth over hair, earring and necklace; FaRL paints them first."""
    on = np.full((1, 1), 255, np.uint8)
    name = lambda order, *parts: CELEBAMASK_CLASSES[paint(dict.fromkeys(parts, on), order)[0, 0]].name  # noqa: E731
    assert set(MERGE_ORDERS["official"]) == set(MERGE_ORDERS["farl"]) == set(CELEBAMASK_PARTS)
    for over, under in (("cloth", "hair"), ("neck", "ear_r"), ("neck", "neck_l"), ("cloth", "neck")):
        official, farl = name("official", over, under), name("farl", over, under)
        assert official == CELEBAMASK_PARTS[over][0]
        assert farl == CELEBAMASK_PARTS[under if under != "neck" else over][0]
    assert name("datagen16", "skin", "cloth", "ear_r") == "skin"


@settings(deadline=None, max_examples=40)
@given(st.floats(-np.pi, np.pi), st.floats(0.5, 20), st.booleans())
def test_sides_do_not_depend_on_roll_or_scale(roll, scale, mirror):
    c, s = scale * np.cos(roll), scale * np.sin(roll)
    points = made_up.points68() * ((-1 if mirror else 1), 1) @ np.array([[c, s], [-s, c]])
    sample = Sample("x", np.zeros((2, 2, 3), np.uint8), (0.0, 0.0, 1.0, 1.0), points=points)
    assert observed_sides(sample, ClassSchema()) == {"landmarks": not mirror}


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", [False, True])
def test_sides_of_classes_under_quarter_turns(turns, mirror):
    ids = np.rot90(made_up.ids_of(made_up.VIEWER_11), turns)
    ids = np.ascontiguousarray(ids[:, ::-1] if mirror else ids)
    sample = Sample("x", np.zeros((128, 128, 3), np.uint8), (0.0, 0.0, 1.0, 1.0), target=ids)
    assert observed_sides(sample, LAPA_CLASSES) == {"eye classes": not mirror, "brow classes": not mirror}


def test_a_profile_has_no_vote():
    points = made_up.points68()
    points[:, 0] += 0.6 * np.where(points[:, 0] > 64, 64 - points[:, 0], 0)  # one half of the face is far
    points[27:36, 0] += 20
    sample = Sample("x", np.zeros((2, 2, 3), np.uint8), (0.0, 0.0, 1.0, 1.0), points=points)
    assert observed_sides(sample, ClassSchema()) == {}
