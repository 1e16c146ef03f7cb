"""One self-contained HTML page about a data set, and a contact sheet beside it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np

from synthforge.conventions import CLASSES
from synthforge.errors import DatasetError
from synthforge.report import draw, plots
from synthforge.report.show import data_uri
from synthforge.report.statistics import statistics
from synthforge.storage.index import CONFIG
from synthforge.storage.reader import DatasetReader

THUMBNAIL = 256  # pixels; of every picture on the page
SHEET_TILE, SHEET_COLUMNS, SHEET_SAMPLES = 160, 2, 16
_KEYS = ("rgb", "segmentation", "depth", "alpha", "landmarks_2d", "landmarks_visible", "landmarks_3d")
_KEYS += ("landmarks_contour_2d", "pupils_2d", "gaze", "attributes", "index")


def write_report(
    folder: Path,
    out: Path,
    n_shown: int = 48,
    progress: Callable[[int, int], None] = lambda done, wanted: None,
) -> list[Path]:
    """Write the page to `out` and `contact_sheet.png` next to it.

    Args:
        folder: a data set.
        n_shown: samples on the page, evenly spread over the data set.
        progress: called with (samples drawn, samples wanted).
    Returns:
        paths of the two files.
    Raises:
        DatasetError: there is no data set, it is empty, or a file cannot be written.
    """
    reader = DatasetReader(folder)
    if not len(reader):
        raise DatasetError("holds no samples", where=str(folder), fix="run synthforge generate to finish it")
    keys = [*_KEYS, *(k for k in ("normals",) if k in reader.keys)]
    sheet_path = out.with_name("contact_sheet.png")
    shown, on_sheet = _spread(len(reader), n_shown), _spread(len(reader), SHEET_SAMPLES)
    wanted = len(shown) + len(on_sheet)
    progress(0, wanted)
    strips = []
    for i in on_sheet:
        strips.append(draw.strip(reader.read(i, keys), SHEET_TILE))
        progress(len(strips), wanted)
    sheet = draw.contact_sheet(strips, SHEET_COLUMNS)
    page = _page(reader, [reader.read(i, keys) for i in shown], lambda n: progress(len(strips) + n, wanted))
    draw.write_png(sheet_path, sheet)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise DatasetError(what, where=str(out), fix="give another --out") from error
    return [out, sheet_path]


def _spread(n: int, wanted: int) -> list[int]:
    """`wanted` of 0 .. n-1, evenly spread, without repeats."""
    return [int(i) for i in np.unique(np.linspace(0, n - 1, min(n, wanted)).astype(int))]


def _page(reader: DatasetReader, samples: list[dict[str, Any]], progress: Callable[[int], None]) -> str:
    cards = []
    for sample in samples:
        cards.append(_card(sample))
        progress(len(cards))
    stats = statistics(reader)
    index = reader.index
    n, total = len(reader), sum(stats.bytes_by_part.values())
    colors = [f"rgb{c.color}" for c in CLASSES]
    config, mean = reader.path / CONFIG, stats.mean_landmarks
    shown = [i for i in range(len(CLASSES)) if stats.class_images[i] > 0]
    names = [CLASSES[i].name.replace("_", " ") for i in shown]

    def by_class(share: np.ndarray) -> str:
        values = dict(zip(names, share[shown].tolist(), strict=True))
        return plots.bars(values, [colors[i] for i in shown], percent=True)

    normals = ["normals"] if "normals" in samples[0] else []
    overlays = ["image", "segmentation", "landmarks", "depth", *normals, "alpha"]
    template = jinja2.Environment(autoescape=True).from_string(
        Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    )
    return template.render(
        index=index,
        n=n,
        size=_readable(total),
        per_sample=_readable(total / n),
        rejected=sum(index["rejected"].values()),
        overlays=[(name, name.capitalize()) for name in overlays],
        samples=cards,
        legend=[(CLASSES[i].name.replace("_", " "), colors[i]) for i in shown if i],
        camera={k: plots.histogram(v) for k, v in stats.camera.items()},
        head={k: plots.histogram(v) for k, v in stats.head.items()},
        numbers={k.replace("_", " "): plots.histogram(v) for k, v in stats.numbers.items()},
        words={k.replace("_", " "): plots.bars(v) for k, v in stats.words.items()},
        class_pixels=by_class(stats.class_pixels),
        class_images=by_class(stats.class_images),
        n_images=stats.n_images,
        visibility=plots.visibility_chart(stats.visibility),
        heat=data_uri(_heat(stats.landmark_heat), ".png"),
        mean_face=plots.landmarks_svg(mean, np.full(68, 3), mean[:17], np.zeros((0, 2, 2)), np.zeros((0, 2))),
        parts=[(k, _readable(v), _readable(v / n), 100 * v / total) for k, v in stats.bytes_by_part.items()],
        shards=[s | {"bytes": _readable((reader.path / s["file"]).stat().st_size)} for s in index["shards"]],
        config=config.read_text(encoding="utf-8") if config.is_file() else f"{CONFIG} is missing",
    )


def _readable(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"


def _card(sample: Mapping[str, Any]) -> dict[str, Any]:
    """One sample of the grid: pictures as data URIs, landmarks as SVG, its attributes in words."""
    size = min(THUMBNAIL, sample["rgb"].shape[0])
    scale = 1 / sample["rgb"].shape[0]

    def label(picture: np.ndarray, kind: str = ".jpg") -> str:
        return data_uri(draw.resized(picture, size, smooth=False), kind)

    classes = sample["segmentation"]
    coloured = np.dstack([draw.segmentation_rgb(classes), np.where(classes > 0, 190, 0).astype(np.uint8)])
    pupils = sample["pupils_2d"] * scale
    gaze = np.stack([pupils, pupils + 0.09 * sample["gaze"][:, :2]], 1)
    pictures = {"segmentation": label(coloured, ".png"), "depth": label(draw.depth_rgb(sample["depth"]))}
    if "normals" in sample:
        pictures["normals"] = label(draw.normals_rgb(sample["normals"]))
    pictures["alpha"] = label(np.dstack([sample["alpha"]] * 3), ".png")
    words = [f"{k}: {v if isinstance(v, str) else f'{v:.3g}'}" for k, v in sample["attributes"].items()]
    return {
        "index": int(sample["index"]),
        "image": data_uri(draw.resized(sample["rgb"], size), ".jpg"),
        "pictures": pictures,
        "landmarks": plots.landmarks_svg(
            sample["landmarks_2d"] * scale,
            sample["landmarks_visible"],
            sample["landmarks_contour_2d"] * scale,
            gaze,
            draw.dense_seen(sample) * scale,
        ),
        "attributes": words,
    }


def _heat(counts: np.ndarray) -> np.ndarray:
    """Map of landmark density, square-root scale so that the rare outskirts show."""
    shade = np.sqrt(cv2.GaussianBlur(counts, (0, 0), 1.2))
    shade /= max(shade.max(), 1e-9)
    smooth = cv2.resize(shade.astype(np.float32), (288, 288), interpolation=cv2.INTER_LINEAR)
    return cv2.applyColorMap((255 * np.clip(smooth, 0, 1)).astype(np.uint8), cv2.COLORMAP_MAGMA)[..., ::-1]
