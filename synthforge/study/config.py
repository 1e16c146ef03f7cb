"""What a study compares: arms (rows) by amounts of annotated photographs (columns) by seeds."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from synthforge.config import config_path, load_config, to_dict
from synthforge.errors import ConfigError

ALL = "all"


class Column(str):
    """An amount of annotated photographs: a number, a share such as "25%", or "all"."""

    @classmethod
    def from_plain(cls, value: object, where: str) -> "Column":
        """From what the YAML file holds.

        Raises:
            ConfigError: it is none of the three.
        """
        text = str(value)
        try:
            good = text == ALL or (0 < float(text[:-1]) <= 100 if text.endswith("%") else int(text) > 0)
        except ValueError:
            good = False
        if not good:
            raise ConfigError(
                f"got {value!r}", where=where, fix='use numbers, shares such as "25%", or "all"'
            )
        return cls(text)

    def to_plain(self) -> str:
        """As `from_plain` reads it."""
        return str(self)


@dataclass(frozen=True)
class Backbone:
    """A stage I run: training preset `config` with `set` overrides on the shards named `data`.

    `samples` trains on the first so many alone (samples are independent draws, so that is a random
    subset); `labels: detector` replaces the landmarks by those of the detector given on the command line.
    """

    data: str = "synthetic"
    config: str = "tiny"
    samples: int = 0
    labels: Literal["generator", "detector"] = "generator"
    set: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arm:
    """One row: how a backbone meets the photographs. `method: none` scores the backbone as it is.

    `columns` limits the row to some columns of the study; `set` overrides keys of the `label` preset.
    """

    method: Literal["none", "lf", "adapter", "finetune", "scratch", "mix", "lastlayer"]
    backbone: str = ""
    features: bool = True
    bn: Literal["frozen", "adapt", "dsbn", "dson"] = "frozen"
    label_net: Literal["unet", "resnet18-unet", "mlp"] = "unet"
    subset: Literal["random", "min-variance"] = "random"
    columns: tuple[Column, ...] = ()
    set: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.backbone and self.method != "scratch":
            raise ConfigError("key 'backbone' is missing", fix="only scratch does without")


@dataclass(frozen=True)
class Gaps:
    """Arms between which the gap from synthetic to real is split, as in "Knowing the Distance"."""

    initial: str
    varied: str
    adapted: str
    real: str


@dataclass(frozen=True)
class StudyConfig:
    """One study. `columns` are numbers of photographs, shares ("25%") or "all"; `metrics` are paths into
    scores.json ("nme.51"); `published` names tables of configs/study/published.yaml to print beside."""

    KIND: ClassVar = "study"

    title: str
    target: str
    metrics: tuple[str, ...]
    columns: tuple[Column, ...]
    arms: dict[str, Arm]
    backbones: dict[str, Backbone] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    gaps: Gaps | None = None
    published: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for need, values in (("arms", self.arms), ("columns", self.columns), ("metrics", self.metrics)):
            if not values:
                raise ConfigError("is empty", where=need)
        if len(set(self.seeds)) != len(self.seeds) or not self.seeds:
            raise ConfigError(f"got {list(self.seeds)}", where="seeds", fix="list different seeds")
        for name, arm in self.arms.items():
            if arm.backbone and arm.backbone not in self.backbones:
                known = ", ".join(self.backbones) or "none"
                raise ConfigError(
                    f"unknown backbone {arm.backbone!r}", where=f"arms: {name}", fix=f"known: {known}"
                )
            if odd := [c for c in arm.columns if c not in self.columns]:
                raise ConfigError(f"{odd[0]!r} is no column of the study", where=f"arms: {name}: columns")
        if self.gaps and (odd := [a for a in to_dict(self.gaps).values() if a not in self.arms]):
            raise ConfigError(f"unknown arm {odd[0]!r}", where="gaps", fix=f"known: {', '.join(self.arms)}")


@dataclass(frozen=True)
class Cell:
    """One run of the grid: a row, a column and a seed."""

    arm: str
    column: str
    seed: int


def cells(config: StudyConfig) -> list[Cell]:
    """All runs of the grid. A backbone alone needs no photographs and no seed: one cell, column ""."""
    found = []
    for name, arm in config.arms.items():
        if arm.method == "none":
            found.append(Cell(name, "", config.seeds[0]))
            continue
        found += [Cell(name, c, s) for c in arm.columns or config.columns for s in config.seeds]
    return found


def photographs(column: str, available: int) -> int | None:
    """How many photographs a column means; None: all.

    Raises:
        ConfigError: there are fewer.
    """
    if column == ALL:
        return None
    if column.endswith("%"):
        return max(1, round(available * float(column[:-1]) / 100))
    if int(column) > available:
        raise ConfigError(
            f"{column} photographs are wanted, there are {available}", where="columns", fix="give more data"
        )
    return int(column)


@dataclass(frozen=True)
class Published:
    """A table of figures measured by others: `rows` are name -> column -> value."""

    title: str
    metric: str
    source: str
    rows: dict[str, dict[Column, float]]


@dataclass(frozen=True)
class PublishedTables:
    """All tables of a file."""

    tables: dict[str, Published]


def load_published(names: tuple[str, ...]) -> list[Published]:
    """Tables by name from configs/study/published.yaml.

    Raises:
        ConfigError: unknown name.
    """
    tables = load_config(PublishedTables, config_path("study", "published")).tables
    if odd := [n for n in names if n not in tables]:
        raise ConfigError(f"unknown table {odd[0]!r}", where="published", fix=f"known: {', '.join(tables)}")
    return [tables[n] for n in names]
