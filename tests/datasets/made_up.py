"""A drawn face, and writers that put it on disk as the owner of each data set would.

Ids are copied from the owners' label maps, not from the package's tables.
"""

from pathlib import Path

import cv2
import numpy as np

SIZE = 128


def points68() -> np.ndarray:
    """Landmarks of the face, continuous pixels; the subject's right is on the left of the picture."""

    def ring(cx, cy, rx, ry, n, start=np.pi):
        a = start + np.arange(n) * 2 * np.pi / n
        return np.stack([cx + rx * np.cos(a), cy + ry * np.sin(a)], 1)

    angle = np.linspace(np.pi, 0, 17)
    jaw = np.stack([64 + 44 * np.cos(angle), 60 + 55 * np.sin(angle)], 1)
    brows = [np.stack([cx + np.linspace(-10, 10, 5), np.full(5, 44.5)], 1) for cx in (45, 83)]
    ridge = np.stack([np.full(4, 64.0), np.linspace(55, 70, 4)], 1)
    base = np.stack([np.linspace(56, 72, 5), np.full(5, 75.0)], 1)
    eyes = [ring(45, 56, 8, 4, 6), ring(83, 56, 8, 4, 6)]
    lips = [ring(64, 89, 16, 8, 12), ring(64, 89, 10, 3, 8)]
    return np.concatenate([jaw, *brows, ridge, base, *eyes, *lips]) + 0.25


def face() -> dict[str, np.ndarray]:
    """Masks by our class names; they do not overlap."""
    boxes = {  # x0, y0, x1, y1; later ones lie over earlier ones
        "neck": (44, 108, 84, 128),
        "hair": (18, 4, 110, 40),
        "skin": (24, 28, 104, 118),
        "right_ear": (16, 52, 24, 76),
        "left_ear": (104, 52, 112, 76),
        "right_brow": (34, 42, 56, 47),
        "left_brow": (72, 42, 94, 47),
        "right_eye": (36, 52, 54, 60),
        "left_eye": (74, 52, 92, 60),
        "nose": (55, 56, 73, 78),
        "upper_lip": (48, 82, 80, 86),
        "inner_mouth": (50, 86, 78, 91),
        "lower_lip": (48, 91, 80, 97),
    }
    order = np.zeros((SIZE, SIZE), np.uint8)
    for i, (x0, y0, x1, y1) in enumerate(boxes.values(), 1):
        order[y0:y1, x0:x1] = i
    return {name: order == i for i, name in enumerate(boxes, 1)}


def picture(seed: int, size: int = SIZE) -> np.ndarray:
    """A smooth random picture, BGR."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)


def ids_of(table: dict[int, tuple[str, ...]]) -> np.ndarray:
    """Id image of the face under an owner's label map; what the map leaves out is 0."""
    masks, ids = face(), np.zeros((SIZE, SIZE), np.uint8)
    for i, names in table.items():
        for name in names:
            ids[masks[name]] = i
    return ids


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# LaPa's labelmap.txt and the README of HELEN*: left is the viewer's.
VIEWER_11 = {
    1: ("skin", "right_ear", "left_ear"), 2: ("right_brow",), 3: ("left_brow",), 4: ("right_eye",),
    5: ("left_eye",), 6: ("nose",), 7: ("upper_lip",), 8: ("inner_mouth",), 9: ("lower_lip",), 10: ("hair",),
}  # fmt: skip
CELEBA_PARTS = {
    "skin": "skin", "nose": "nose", "l_eye": "left_eye", "r_eye": "right_eye", "l_brow": "left_brow",
    "r_brow": "right_brow", "l_ear": "left_ear", "r_ear": "right_ear", "mouth": "inner_mouth",
    "u_lip": "upper_lip", "l_lip": "lower_lip", "hair": "hair", "neck": "neck",
}  # fmt: skip
FACESYNTHETICS = {
    1: ("skin",), 2: ("nose",), 3: ("right_eye",), 4: ("left_eye",), 5: ("right_brow",), 6: ("left_brow",),
    7: ("right_ear",), 8: ("left_ear",), 9: ("inner_mouth",), 10: ("upper_lip",), 11: ("lower_lip",),
    12: ("neck",), 13: ("hair",),
}  # fmt: skip


def lapa_points(points: np.ndarray) -> np.ndarray:
    """106 points, 0-based file coordinates, of which those with a meaning in iBUG-68 are set."""
    full = np.tile(points[30], (106, 1))
    full[0:33:2] = points[:17]
    full[33:38], full[42:47] = points[17:22], points[22:27]
    full[51:55], full[58:63] = points[27:31], points[31:36]
    full[[66, 67, 69, 70, 71, 73]] = points[36:42]
    full[[75, 76, 78, 79, 80, 82]] = points[42:48]
    full[84:104] = points[48:]
    return full - 0.5


def lapa_text(points: np.ndarray) -> str:
    return "106\n" + "\n".join(f"{x:.4f} {y:.4f}" for x, y in lapa_points(points)) + "\n"


def make_lapa(root: Path, split: str = "train", names=("a", "b", "c"), ids: np.ndarray | None = None) -> Path:
    for i, name in enumerate(names):
        seed = i + 100 * ("train", "val", "test").index(split)
        write(root / split / f"images/{name}.jpg", picture(seed))
        write(root / split / f"labels/{name}.png", ids_of(VIEWER_11) if ids is None else ids)
        write_text(root / split / f"landmarks/{name}.txt", lapa_text(points68()))
    return root


def make_lapa_d(root: Path, bright_is_near: bool = True, names=("a", "b", "c")) -> Path:
    make_lapa(root, "train", names)
    y, x = np.mgrid[:SIZE, :SIZE]
    near = 250 - 2.0 * np.hypot(x - 64, y - 70)  # the tip of the nose is nearest
    depth = np.clip(near, 0, 255).astype(np.uint8)
    for name in names:
        write(root / f"depth/{name}.png", depth if bright_is_near else 255 - depth)
    write_text(root / "train_list.txt", "\n".join(names) + "\n")
    return root


def make_helen(root: Path) -> Path:
    for split, names in (("train", "pq"), ("test", "r")):
        for name in names:
            write(root / split / f"{name}_1_image.jpg", picture(ord(name)))
            write(root / split / f"{name}_1_label.png", ids_of(VIEWER_11))
            write(root / split / f"{name}_1_viz.jpg", picture(0))
    return root


def make_celebamask(root: Path, numbers=(0, 1, 2001), size: int = 2 * SIZE) -> Path:
    """Photographs of twice the masks' side; masks are colour images of black and white."""
    masks = face()
    for n in numbers:
        write(root / f"CelebA-HQ-img/{n}.jpg", picture(n, size))
        for part, name in CELEBA_PARTS.items():
            mask = np.repeat(255 * masks[name][..., None].astype(np.uint8), 3, 2)
            write(root / f"CelebAMask-HQ-mask-anno/{n // 2000}/{n:05d}_{part}.png", mask)
    return root


def make_facesynthetics(root: Path, numbers=(0, 1, 2)) -> Path:
    for n in numbers:
        ids = ids_of(FACESYNTHETICS)
        ids[:3] = 255
        write(root / f"{n:06d}.png", picture(n))
        write(root / f"{n:06d}_seg.png", ids)
        pupils = [(45.25, 56.25), (83.25, 56.25)]
        rows = [*points68(), *pupils]
        write_text(root / f"{n:06d}_ldmks.txt", "\n".join(f"{x:.6f} {y:.6f}" for x, y in rows))
    return root


def wflw_line(points: np.ndarray, name: str) -> str:
    """98 points, 0-based, of which those with a meaning in iBUG-68 are set."""
    full = np.tile(points[30], (98, 1))
    full[0:33:2] = points[:17]
    full[33:38], full[42:47], full[51:60] = points[17:22], points[22:27], points[27:36]
    full[[60, 61, 63, 64, 65, 67]], full[[68, 69, 71, 72, 73, 75]] = points[36:42], points[42:48]
    full[76:96] = points[48:]
    numbers = [f"{v:.6f}" for v in (full - 0.5).ravel()] + ["10", "10", "110", "110"] + ["0"] * 6
    return " ".join([*numbers, name])


def make_wflw(root: Path) -> Path:
    lists = root / "WFLW_annotations/list_98pt_rect_attr_train_test"
    faces = {"train": ["0--Parade/x.jpg", "0--Parade/x.jpg", "1--Car/y.jpg"], "test": ["1--Car/z.jpg"]}
    for split, names in faces.items():
        for name in names:
            write(root / "WFLW_images" / name, picture(ord(name[-5])))
        lines = [wflw_line(points68(), name) for name in names]
        write_text(lists / f"list_98pt_rect_attr_{split}.txt", "\n".join(lines) + "\n")
    return root


def pts_text(points: np.ndarray) -> str:
    """A .pts file counts from 1."""
    body = "\n".join(f"{x:.6f} {y:.6f}" for x, y in points + 0.5)
    return f"version: 1\nn_points: 68\n{{\n{body}\n}}\n"


def make_300w(root: Path, points: np.ndarray | None = None) -> Path:
    names = ["afw/1", "helen/trainset/2", "lfpw/testset/3", "ibug/image_4 _01", "01_Indoor/indoor_001"]
    for i, name in enumerate(names):
        write(root / f"{name}.png", picture(i))
        write_text(root / f"{name}.pts", pts_text(points68() if points is None else points))
    return root
