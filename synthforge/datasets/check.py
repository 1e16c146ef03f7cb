"""All checks of all splits of a data set, as a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from synthforge.datasets.open import open_source
from synthforge.datasets.photos import SPLITS, PhotoSource
from synthforge.datasets.sample import CheckError
from synthforge.datasets.source import Source
from synthforge.datasets.validate import (
    CHECKS,
    SAMPLES,
    Finding,
    duplicates,
    findings,
    model_findings,
    require,
    survey,
)
from synthforge.errors import ConfigError, DatasetError


@dataclass
class DataReport:
    """What the checks found: `splits` has (name, photographs, read) of each split that could be opened."""

    name: str
    with_model: bool = False
    splits: list[tuple[str, int, int]] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        return [f for f in self.found if f.level == "error"]

    def table(self) -> str:
        """A line for each split, then one for each check and one for each thing it found."""
        lines = [f"{self.name}, {split}: {n} photographs, {read} read" for split, n, read in self.splits]
        for code, title, _ in CHECKS:
            mine = [f for f in self.found if f.code == code]
            ran = self.splits and (code != "E113" or self.with_model)
            levels = [f.level for f in mine]
            worst = next(
                (k for k in ("error", "warning", "notice") if k in levels), "ok" if ran else "not run"
            )
            lines.append(f"{code}  {worst:8}{title}")
            lines += [f"      {f.level}: {f.what}" for f in mine]
        return "\n".join(lines)

    def require_good(self) -> None:
        """Raise DatasetError if there is an error."""
        if self.errors:
            codes = ", ".join(sorted({f.code for f in self.errors}))
            raise DatasetError(f"{len(self.errors)} checks fail ({codes})", where=self.name)


def check_data(
    layout: str,
    folders: Sequence[Path],
    split: str = "all",
    samples: int = SAMPLES,
    card: dict | None = None,
    leaks_fail: bool = False,
    progress: Callable[[int, int], None] = lambda done, wanted: None,
) -> DataReport:
    """Open and check one split, or each that there is.

    Args:
        samples: photographs read of each split, evenly spread; 0: all.
        card: content of a model's `model.json`, to be checked too.
        leaks_fail: E110 is an error, not a warning.
        progress: called with (photographs read, photographs known to be wanted).
    Raises:
        ConfigError: unknown layout, or one without photographs.
    """
    report, surveys, closed = DataReport(layout, card is not None), [], []
    for wanted in SPLITS if split == "all" else (split,):
        try:
            source = open_source(layout, folders, wanted)
        except CheckError as error:
            closed.append(error)
            continue
        if not isinstance(source, PhotoSource):
            raise ConfigError("shards are checked by synthforge verify", where="--layout")
        before = sum(s.n_read for s in surveys)
        surveys.append(survey(source, samples, lambda done, wanted, n=before: progress(n + done, n + wanted)))
    if not surveys:
        closed = closed[:1]
    else:  # a benchmark need not have every split
        closed = [e for e in closed if e.code != "E101"]
    report.found += [Finding(e.code, "error", str(e).replace(f"{e.code}: ", "", 1)) for e in closed]
    for s in surveys:
        report.splits.append((s.source.split, len(s.source), s.n_read))
        for finding in findings(s):
            if finding.code == "E114" and finding in report.found:
                continue
            report.found.append(finding)
    report.found += duplicates(surveys)
    if surveys and card is not None:
        report.found += model_findings(card, surveys[0].source)
    if leaks_fail:
        report.found = [replace(f, level="error") if f.code == "E110" else f for f in report.found]
    return report


def open_checked(layout: str, folders: Sequence[Path], split: str, card: dict | None = None) -> Source:
    """Open a data set to train on: it is checked first, and so is that the model of `card` fits it.

    Raises:
        ConfigError, DatasetError: it cannot be opened, or a check fails.
    """
    source = open_source(layout, folders, split)
    if isinstance(source, PhotoSource):
        require(source, card)
    return source
