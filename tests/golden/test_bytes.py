"""Every sample keeps its bytes: whoever moves code around must not change a pixel or a label."""

import json

import pytest

from tests.golden import bytes as golden

GOLDEN = json.loads(golden.FILE.read_text(encoding="utf-8"))
ROUNDED = ("depth", "normals", "soft_masks")  # by a network whose rounding depends on the CPU


@pytest.mark.parametrize("case", golden.CASES)
def test_samples_are_the_golden_ones_in_every_byte(case, request, monkeypatch):
    if "ict" in case:
        monkeypatch.setenv("SYNTHFORGE_HOME", str(request.getfixturevalue("ict_file").parent))
    if case.startswith("pathtrace"):
        pytest.importorskip("mitsuba", reason="the path tracer is an optional extra")
    made = golden.made(case)
    rounded = ROUNDED if case.startswith("next3d") and golden.cpu() != GOLDEN["cpu"] else ()
    recorded = GOLDEN["cases"][case]
    changed = [
        f"sample {index}: {name}"
        for index, fields in recorded.items()
        for name, value in fields.items()
        if name not in rounded and made[index].get(name) != value
    ]
    assert not changed and made.keys() == recorded.keys()
