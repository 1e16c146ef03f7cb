"""Checks E101 to E114: what can be wrong with a data set, found before anything is trained on it.

A survey reads samples once and keeps what the checks look at; each check is one function of surveys, a row
of `CHECKS`. E101, E102, and what a single file can break, are raised by the readers with their code.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from synthforge.conventions import CLASS_NAMES, N_LANDMARKS
from synthforge.datasets.photos import PhotoSource
from synthforge.datasets.sample import CheckError, Sample, require_known
from synthforge.datasets.sides import Sides, observed_sides
from synthforge.datasets.source import SourceInfo
from synthforge.errors import DatasetError

log = logging.getLogger(__name__)
SAMPLES = 500  # photographs read by default, evenly spread
BAD_SHARE = 0.01  # of unreadable images, of stray landmarks, that is only warned of
OUTSIDE = 0.25  # of the image's side, that landmarks may lie beyond it
DISTINCT = 60  # of 68 landmarks; closed lips and eyes make a few coincide
METRES = (0.05, 50.0)  # median distance of a photographed head
SIDES_READ = 50  # frontal photographs of the side check
SIDES_WRONG = 0.8
FEWEST = 2  # views of a photograph differ, so even a batch may be larger than the set
LEAKS = ("HELEN_", "LFPW_", "AFW_", "IBUG_")  # prefixes of LaPa's names: photographs of 300-W sets


@dataclass(frozen=True)
class Finding:
    """What a check found; `line` is how the command line shows it."""

    code: str
    level: Literal["error", "warning", "notice"]
    what: str

    @property
    def line(self) -> str:
        return f"{self.code} {self.level}: {self.what}"


@dataclass(frozen=True)
class Record:
    """What the checks look at of one sample that was read.

    `outside`: how far landmarks lie beyond the image, over its side; `depth`: least, median and largest
    finite value; `astray`: an eye's landmarks lie off its mask; `print`: 64-bit picture hash, 0 of a
    picture without content.
    """

    name: str
    classes: frozenset[int]
    sides: Sides
    outside: float = 0.0
    distinct: int = N_LANDMARKS
    at_zero: bool = False
    astray: bool = False
    depth: tuple[float, float, float] | None = None
    print: int = 0


@dataclass
class Survey:
    """A source, the samples read from it, and those that could not be read (index and error)."""

    source: PhotoSource
    records: list[Record] = field(default_factory=list)
    broken: list[tuple[int, DatasetError]] = field(default_factory=list)

    @property
    def n_read(self) -> int:
        return len(self.records) + len(self.broken)


def survey(
    source: PhotoSource,
    samples: int = SAMPLES,
    progress: Callable[[int, int], None] = lambda done, wanted: None,
) -> Survey:
    """Read `samples` evenly spread samples (0: all); `progress` is called with (read, wanted)."""
    n = len(source)
    count = min(n, samples or n)
    result = Survey(source)
    for done, i in enumerate(np.linspace(0, n - 1, count).round().astype(int)):
        progress(done, count)
        try:
            result.records.append(_record(source[int(i)], source))
        except DatasetError as error:
            result.broken.append((int(i), error))
    progress(count, count)
    return result


def _require_form(sample: Sample, info: SourceInfo) -> None:
    """Raise CheckError where a reader gives what its `info` does not say, or what training cannot take."""
    rgb, points, ids = sample.rgb, sample.points, sample.target
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        what, fix = f"rgb is {rgb.dtype} of shape {rgb.shape}", "the reader must give uint8 h w 3"
        raise CheckError("E112", what, where=sample.name, fix=fix)
    if info.points and points is not None and points.shape != (info.points, 2):
        fix = f"the reader's info says {info.points} landmarks"
        raise CheckError("E107", f"points are of shape {points.shape}", where=sample.name, fix=fix)
    if info.schema and ids is not None:
        if ids.dtype != np.uint8 or ids.ndim != 2:
            what, fix = f"target is {ids.dtype} of shape {ids.shape}", "the reader must give uint8 h w"
            raise CheckError("E105", what, where=sample.name, fix=fix)
        require_known(ids, len(info.schema), sample.name)


def _record(sample: Sample, source: PhotoSource) -> Record:
    _require_form(sample, source.info)
    ids = frozenset() if sample.target is None else frozenset(np.unique(sample.target).tolist())
    facts: dict = {"print": _picture_hash(sample.rgb)}
    if (points := sample.points) is not None:
        size = np.array(sample.rgb.shape[1::-1], float)
        beyond = np.maximum(-points, points - size) / size
        distinct = len(np.unique(points.round(3), axis=0))
        facts |= {"outside": float(beyond.max()), "distinct": distinct}
        facts |= {"at_zero": bool((points == -0.5).any()), "astray": _astray(sample, source)}
    if sample.depth is not None and np.isfinite(sample.depth).any():
        z = sample.depth[np.isfinite(sample.depth)]
        facts["depth"] = (float(z.min()), float(np.median(z)), float(z.max()))
    elif sample.depth is not None:
        facts["depth"] = (np.inf, np.inf, np.inf)
    return Record(sample.name, ids, observed_sides(sample, source.info.schema), **facts)


def _astray(sample: Sample, source: PhotoSource) -> bool:
    """Whether the mean of an eye's landmarks lies off its mask's box, grown by half its size."""
    for side, group in (("right_eye", range(36, 42)), ("left_eye", range(42, 48))):
        ids = [c.id for c in source.info.schema if c.sources == (side,)]
        if sample.target is None or not ids or not (sample.target == ids[0]).any():
            continue
        rows, columns = np.nonzero(sample.target == ids[0])
        low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()]) + 1
        mean, slack = sample.points[list(group)].mean(0), (high - low).max() / 2
        if (mean < low - slack).any() or (mean > high + slack).any():
            return True
    return False


def _picture_hash(rgb: np.ndarray) -> int:
    """Signs of the differences along the rows of the picture at 9 x 8 pixels, as one number."""
    small = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA)
    return int.from_bytes(np.packbits(np.diff(small.astype(int), axis=1) > 0).tobytes(), "big")


def _few(names: Sequence[str], n: int = 4) -> str:
    return ", ".join(names[:n]) + (f", ... ({len(names)} in all)" if len(names) > n else "")


Check = Callable[[Survey], Iterator[Finding]]


def _broken(code: str, always: bool = True) -> Check:
    """Samples that a reader refused with `code`: an error always, or above a share of them."""

    def check(s: Survey) -> Iterator[Finding]:
        errors = [str(e) for _, e in s.broken if getattr(e, "code", "E112") == code]
        if errors:
            bad = always or len(errors) > BAD_SHARE * s.n_read
            more = f" ({len(errors)} of {s.n_read} read)"
            yield Finding(code, "error" if bad else "warning", errors[0].replace(f"{code}: ", "", 1) + more)

    return check


def _pairs(s: Survey) -> Iterator[Finding]:
    if s.source.unpaired:
        yield Finding("E102", "warning", f"left out, without a partner: {_few(s.source.unpaired)}")
    empty = [r.name for r in s.records if r.classes == {0}]
    if empty:
        yield Finding("E102", "warning", f"masks hold nothing but background: {_few(empty)}")


def _counts(s: Survey) -> Iterator[Finding]:
    published = s.source.info.published.get(s.source.split, ())
    found = len(s.source) + len(s.source.unpaired)
    if published and found not in published:
        wanted = " or ".join(map(str, published))
        yield Finding("E103", "warning", f"{found} in the {s.source.split} split, published are {wanted}")


def _sides(s: Survey) -> Iterator[Finding]:
    frontal = [r for r in s.records if r.sides][:SIDES_READ]
    for what in sorted({key for r in frontal for key in r.sides}):
        votes = {r.name: r.sides[what] for r in frontal if what in r.sides}
        wrong = [name for name, right in votes.items() if not right]
        if len(wrong) > SIDES_WRONG * len(votes):
            share = f"{len(wrong)} of {len(votes)} frontal photographs ({_few(wrong)})"
            text = f"declared sides disagree: left and right {what} are exchanged in {share}"
            yield Finding("E106", "error", f"{text}; are they named from the subject or the viewer?")


def _landmarks(s: Survey) -> Iterator[Finding]:
    if outside := [r.name for r in s.records if r.outside > OUTSIDE]:
        level = "error" if len(outside) > BAD_SHARE * s.n_read else "warning"
        yield Finding("E107", level, f"landmarks lie far outside the image: {_few(outside)}")
    if zero := [r.name for r in s.records if r.at_zero]:
        text = f"coordinates of 0 in files that should count from 1: {_few(zero)}"
        yield Finding("E107", "warning", text)
    if double := [r.name for r in s.records if r.distinct < DISTINCT]:
        yield Finding("E107", "warning", f"fewer than {DISTINCT} distinct landmarks: {_few(double)}")


def _agreement(s: Survey) -> Iterator[Finding]:
    if astray := [r.name for r in s.records if r.astray]:
        yield Finding("E108", "warning", f"landmarks of an eye lie off its mask: {_few(astray)}")


def _depth(s: Survey) -> Iterator[Finding]:
    read = [r for r in s.records if r.depth]
    if empty := [r.name for r in read if np.isinf(r.depth[1])]:
        yield Finding("E109", "error", f"no pixel has a depth: {_few(empty)}")
    known = [r for r in read if np.isfinite(r.depth[1])]
    flat = [r for r in known if r.depth[0] == r.depth[2]]
    far = [r for r in known if s.source.info.depth == "metric" and not METRES[0] < r.depth[1] < METRES[1]]
    for text, bad in (("depth is the same everywhere", flat), ("depth cannot be in metres", far)):
        if bad:
            names = _few([r.name for r in bad])
            yield Finding("E109", "error", f"{text}: {names}, median {bad[0].depth[1]:g}")


def _leaks(s: Survey) -> Iterator[Finding]:
    names = [r.name for r in s.records if r.name.startswith(LEAKS)]
    if names and s.source.split != "test":
        text = f"photographs of 300-W sets: {_few(names)}; do not score on 300w after training on them"
        yield Finding("E110", "warning", text)


def _enough(s: Survey) -> Iterator[Finding]:
    if len(s.source) < FEWEST and s.source.split != "test":
        yield Finding("E111", "error", f"{len(s.source)} photographs are too few to train on")


def _licence(s: Survey) -> Iterator[Finding]:
    if s.source.info.licence:
        yield Finding("E114", "notice", s.source.info.licence)


# code, what is checked, how. E101 is raised on opening; E113 is `model_findings`.
CHECKS: tuple[tuple[str, str, tuple[Check, ...]], ...] = (
    ("E101", "folders are there", (_broken("E101"),)),
    ("E102", "each image has its labels", (_broken("E102"), _pairs)),
    ("E103", "counts are the published ones", (_counts,)),
    ("E104", "labels have the image's size", (_broken("E104"),)),
    ("E105", "class ids are known", (_broken("E105"),)),
    ("E106", "left and right are as declared", (_sides,)),
    ("E107", "landmarks are whole and in the image", (_broken("E107"), _landmarks)),
    ("E108", "landmarks and classes agree", (_agreement,)),
    ("E109", "depth has values and a unit", (_broken("E109"), _depth)),
    ("E110", "no photograph is in two splits or sets", (_leaks,)),
    ("E111", "enough to train on", (_enough,)),
    ("E112", "images can be read", (_broken("E112", always=False),)),
    ("E113", "the model fits the data", ()),
    ("E114", "licence", (_licence,)),
)


def findings(surveyed: Survey) -> list[Finding]:
    """All that the checks find in one split."""
    return [finding for _, _, checks in CHECKS for check in checks for finding in check(surveyed)]


def duplicates(surveys: Sequence[Survey]) -> list[Finding]:
    """E110: pictures that two splits share (among those read)."""
    owner: dict[int, tuple[str, str]] = {}
    shared = []
    for s in surveys:
        for r in s.records:
            split, name = owner.setdefault(r.print, (s.source.split, r.name))
            if r.print and split != s.source.split:
                shared.append(f"{split} {name} = {s.source.split} {r.name}")
    return [Finding("E110", "warning", f"the same picture in two splits: {_few(shared)}")] if shared else []


def model_findings(card: dict, source: PhotoSource) -> list[Finding]:
    """E113: whether a stored model (the content of its `model.json`) has this data's labels, or ours."""
    found, info = [], source.info
    names = tuple(c["name"] for c in card.get("classes", ()))
    points = card.get("model", {}).get("n_landmarks", N_LANDMARKS)
    if info.points and points != info.points:
        found.append(f"model has {points} landmarks, {info.name} {info.points}")
    if info.schema and names not in (CLASS_NAMES, info.schema.names):
        found.append(f"model's classes ({_few(names)}) are neither ours nor those of {info.name}")
    return [Finding("E113", "error", text) for text in found]


def require(source: PhotoSource, card: dict | None = None, samples: int = SAMPLES) -> None:
    """Check before training: log warnings, leave unreadable photographs out, raise the first error.

    Raises:
        DatasetError: a check fails; the others are counted.
    """
    surveyed = survey(source, samples)
    found = findings(surveyed) + (model_findings(card, source) if card else [])
    for finding in found:
        if finding.level != "error":
            log.warning(finding.line)
    if errors := [f for f in found if f.level == "error"]:
        more = f"{len(errors) - 1} more: " if len(errors) > 1 else ""
        raise DatasetError(errors[0].line, where=source.info.name, fix=f"{more}run synthforge dataset check")
    source.drop([i for i, _ in surveyed.broken])
