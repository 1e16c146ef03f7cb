"""A dozen small faces as pictures, for what people see: head, hair, beard, glasses, hats, light, path tracer.

`python -m tests.golden.images` compares and draws differences; with `--update` the new faces become golden.
Look at the pictures of differences (old, new, what differs) before you do that.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.golden.bytes import TRACED, GenerateConfig, SceneSource, config_path, load_config

FOLDER = Path(__file__).with_name("images")
DIFFERENCES = Path("out/golden")
SIZE = 128
STEP = 6  # of 255: what another order of additions does to a pixel stays below
# Share of pixels that may differ by more: rounding moves an edge here and there, or a path of light.
SHARE, SHARE_TRACED = 0.003, 0.02
_PLAIN = (
    "scene.camera.azimuth_deg=0", "scene.camera.elevation_deg=0", "scene.camera.roll_deg=0",
    "scene.pose.yaw_deg=0", "scene.attributes.saturation=0", "scene.attributes.contrast=0",
    "scene.attributes.eyeglasses=none", "scene.attributes.headwear=none", "scene.attributes.facewear=none",
    "scene.attributes.earrings=none", "scene.attributes.headphones=none", "scene.attributes.occluder=none",
    "scene.attributes.blur=0", "scene.attributes.noise=0", "scene.attributes.aperture=0",
    "scene.attributes.compression=0", "scene.attributes.exposure=0",
)  # fmt: skip
# name -> index, attributes, other overrides
CASES: dict[str, tuple[int, str, tuple[str, ...]]] = {
    "bald": (3, "sex=male skin_tone=5 hair_style=bald facial_hair=none light=day background=plain", ()),
    "old": (4, "sex=female age=80 hair_style=bob hair_color=white light=indoor", ()),
    "long": (5, "sex=female age=25 hair_style=long hair_color=red light=day background=outdoor", ()),
    "afro": (6, "sex=female age=30 skin_tone=9 hair_style=afro earrings=hoop light=studio", ()),
    "braid": (7, "sex=female hair_style=braid hair_color=blond", ("scene.pose.yaw_deg=35",)),
    "beard": (8, "sex=male age=45 hair_style=swept facial_hair=full light=evening", ()),
    "glasses": (9, "sex=male age=50 hair_style=side_part eyeglasses=clear light=indoor", ()),
    "sunglasses": (10, "sex=female hair_style=wavy eyeglasses=sunglasses light=day background=outdoor", ()),
    "cap": (11, "sex=male age=20 headwear=cap facewear=surgical_mask light=day", ()),
    "headscarf": (12, "sex=female headwear=headscarf makeup=0.8 lip_color=0.8 light=night", ()),
    "hand": (13, "sex=female hair_style=pixie occluder=hand light=day", ("scene.camera.elevation_deg=15",)),
    "traced": (14, "sex=female skin_tone=4 hair_style=bob eyeglasses=clear", (*TRACED, "pathtrace.spp=16")),
}


def face(name: str) -> np.ndarray:
    """Pixels of a case now, SIZE SIZE 3 uint8."""
    index, attributes, others = CASES[name]
    worn = [f"scene.attributes.{setting}" for setting in attributes.split()]
    overrides = [f"resolution={SIZE}", *_PLAIN, *worn, *others]
    source = SceneSource(load_config(GenerateConfig, config_path("generate", "default"), overrides))
    return source(index).frame.rgb


def recorded(name: str) -> np.ndarray:
    """Pixels of the golden picture of a case; black where there is none yet."""
    path = FOLDER / f"{name}.png"
    return np.array(Image.open(path)) if path.is_file() else np.zeros((SIZE, SIZE, 3), np.uint8)


def share_differing(one: np.ndarray, other: np.ndarray) -> float:
    """Share of pixels of which a channel differs by more than STEP."""
    return float((np.abs(one.astype(int) - other).max(-1) > STEP).mean())


def bound(name: str) -> float:
    """Share of pixels of a case that may differ."""
    return SHARE_TRACED if name == "traced" else SHARE


def draw_difference(name: str, now: np.ndarray) -> Path:
    """Golden, new, and ten times their difference, side by side as a PNG."""
    DIFFERENCES.mkdir(parents=True, exist_ok=True)
    before = recorded(name)
    difference = np.clip(10 * np.abs(before.astype(int) - now), 0, 255).astype(np.uint8)
    path = DIFFERENCES / f"{name}.png"
    Image.fromarray(np.concatenate([before, now, difference], 1)).save(path)
    return path


def main(update: bool) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in CASES:
        now = face(name)
        share = share_differing(recorded(name), now)
        path = draw_difference(name, now)
        sys.stdout.write(f"{name}: {share:.2%} of the pixels differ, {bound(name):.1%} may; {path}\n")
        if update:
            Image.fromarray(now).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main("--update" in sys.argv[1:])
