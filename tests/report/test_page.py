"""The page stands alone, shows the data as stored, and works in a real browser."""

import base64
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from synthforge.cli import main
from synthforge.conventions import CLASS_COLORS
from synthforge.errors import DatasetError
from synthforge.report import draw
from synthforge.report.page import write_report
from synthforge.storage.run import run
from tests.helpers.fake_source import FakeConfig, FakeSource, fake_frame, fake_layout

N = 6
SWITCH = """
<pre id="found"></pre><script>
const seen = {};
for (const radio of document.querySelectorAll("input[name=see]")) {
  document.querySelector(`label[for=${radio.id}]`).click();
  seen[radio.id] = [...document.querySelectorAll(".grid .over")]
    .filter((e) => getComputedStyle(e).visibility === "visible")
    .map((e) => [...e.classList].pop());
}
document.dispatchEvent(new KeyboardEvent("keydown", {key: "3"}));
seen.key = document.querySelector("input[name=see]:checked").id;
const side = document.querySelector("figure").offsetWidth;
document.querySelector("label[for=side-l]").click();
seen.grown = document.querySelector("figure").offsetWidth > side;
seen.broken = [...document.images].filter((i) => !i.complete || !i.naturalWidth).length;
seen.wide = document.documentElement.scrollWidth > innerWidth;
seen.fetched = performance.getEntriesByType("resource").filter((r) => !r.name.startsWith("data:")).length;
document.getElementById("found").textContent = JSON.stringify(seen);
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set") / "x"
    run(FakeSource(), FakeConfig(name="<i>mine</i>", shard_size=4), out, N, workers=0)
    write_report(out, out / "report.html")
    return out / "report.html"


def pictures(text: str, kind: str) -> list[np.ndarray]:
    found = re.findall(rf'class="over {kind}" src="data:image/\w+;base64,([^"]+)"', text)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(d), np.uint8), cv2.IMREAD_UNCHANGED) for d in found]


def test_page_refers_to_nothing_outside_itself(page: Path) -> None:
    text = page.read_text()
    assert "licence of head sphere</td><td>not stated" in text
    links = re.findall(r'(?:src|href|action)="([^"]*)"', text) + re.findall(r"url\(([^)]*)\)", text)
    assert links and all(link.startswith("data:") for link in links)
    assert "@import" not in text and "<i>mine" not in text and "&lt;i&gt;mine" in text


def test_pictures_are_the_stored_labels(page: Path) -> None:
    text = page.read_text()
    for i, picture in enumerate(pictures(text, "segmentation")):
        classes = fake_frame(0, i).segmentation
        assert (picture[..., 2::-1][classes > 0] == CLASS_COLORS[classes[classes > 0]]).all()
        assert ((picture[..., 3] > 0) == (classes > 0)).all()
    for i, picture in enumerate(pictures(text, "alpha")):
        assert (picture[..., 0] == fake_frame(0, i).alpha).all()
    assert [len(pictures(text, kind)) for kind in ("segmentation", "alpha", "depth", "normals")] == [N] * 4
    dots = re.findall(r'<circle class="v(\d)" cx="([\d.-]+)" cy="([\d.-]+)"', text)
    assert len(dots) == 68 * N + 68  # and the mean face
    np.testing.assert_allclose(
        np.array(dots[:68], float)[:, 1:], fake_frame(0, 0).landmarks_2d / 32 * 100, atol=0.06
    )


def test_a_set_without_normals_has_no_such_overlay(tmp_path: Path) -> None:
    run(FakeSource(fake_layout(codec="raw", normals=False)), FakeConfig(), tmp_path / "x", 2, workers=0)
    write_report(tmp_path / "x", tmp_path / "x.html")
    assert "see-normals" not in (tmp_path / "x.html").read_text().replace("#see-normals", "")


def test_contact_sheet_holds_the_images(page: Path) -> None:
    sheet = cv2.imread(str(page.with_name("contact_sheet.png")))
    assert sheet.shape == (3 * 166 + 6, 2 * (5 * 160 + 6) + 6, 3)


def test_normals_of_a_surface_facing_the_camera_are_blue() -> None:
    normals = np.zeros((2, 2, 3), np.float32)
    normals[0, 0] = [0, 0, -1]
    colours = draw.normals_rgb(normals)
    assert colours[0, 0].tolist() == [127, 127, 255] and not colours[1].any()


def test_nearer_is_brighter_and_nothing_is_black() -> None:
    depth = np.array([[0.9, 1.0], [1.1, np.inf]], np.float32)
    near, middle, far, none = draw.depth_rgb(depth).reshape(4, 3).sum(1).tolist()
    assert near > middle > far > none == 0


def test_command_says_where_things_are(page: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "look.html"
    result = CliRunner().invoke(main, ["report", str(page.parent), "--out", str(out), "--samples", "2"])
    assert result.exit_code == 0, result.output
    assert f"wrote {out}" in result.output and "contact_sheet.png" in result.output
    assert out.read_text().count("<figure>") == 2
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert isinstance(result.exception, DatasetError) and "no dataset.json" in str(result.exception)


def test_it_works_in_a_browser(page: Path, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium or google-chrome is installed")
    probe = tmp_path / "probe.html"
    probe.write_text(page.read_text().replace("</body>", SWITCH + "</body>"))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"]
    command += ["--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    command.append(probe.as_uri())
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "CONSOLE" not in done.stderr, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    seen = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)[1]))
    assert seen["see-image"] == []
    for name in ("segmentation", "landmarks", "depth", "normals", "alpha"):
        assert seen[f"see-{name}"] == [name] * N
    assert seen["key"] == "see-landmarks" and seen["grown"]
    assert (seen["broken"], seen["fetched"], seen["wide"]) == (0, 0, False)
