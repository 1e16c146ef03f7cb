"""Which photographs of a benchmark a run learns from."""

from pathlib import Path

import numpy as np

from synthforge.datasets.source import Source
from synthforge.errors import ConfigError
from synthforge.rng import sample_rng

SUBSETS = ("random", "min-variance")
VARIETY = {"eyeglasses", "headwear", "facewear", "earring", "necklace", "occluder"}


def choose(
    source: Source, wanted: int | None, seed: int, subset: str = "random", exclude: Path | None = None
) -> list[int]:
    """Indices of the photographs used, rising.

    Args:
        wanted: how many; None: all of the subset.
        subset: `random`; `min-variance`: those without glasses, hats and the like, where the data has such
            classes ("Knowing the Distance"), else the ones whose landmarks are nearest to the median face;
            or a file with one name in each line (`photographs.txt` of another run is one).
        exclude: such a file of photographs to leave out, whatever the subset.
    Raises:
        ConfigError: there are fewer, or a name is unknown.
    """
    out = set() if exclude is None else set(_find(source, _names(exclude, "--exclude")).values())
    pool = [i for i in range(len(source)) if i not in out]
    if subset == "min-variance":
        plain = _without_variety(source, pool)
        if plain is None:
            return sorted(_nearest_to_median(source, pool)[: _checked(wanted, len(pool))])
        pool = plain
    elif subset != "random":
        found = _find(source, names := _names(Path(subset), "--subset"))
        if missing := sorted(names - set(found)):
            raise ConfigError(f"{missing[0]!r} is not in the data", where=subset)
        pool = sorted(set(found.values()) - out)
    count = _checked(wanted, len(pool))
    return sorted(pool[int(i)] for i in sample_rng(seed, 0, "subset").permutation(len(pool))[:count])


def _checked(wanted: int | None, available: int) -> int:
    if wanted is not None and not 1 <= wanted <= available:
        raise ConfigError(f"got {wanted}", where="--n-real", fix=f"there are {available}")
    return available if wanted is None else wanted


def _without_variety(source: Source, pool: list[int]) -> list[int] | None:
    """Samples that show no accessory; None where the data has no class for one."""
    odd = [c.id for c in source.info.schema if c.sources and set(c.sources) <= VARIETY]
    if not odd:
        return None
    return [i for i in pool if not np.isin(source[i].target, odd).any()]


def _nearest_to_median(source: Source, pool: list[int]) -> list[int]:
    """Samples by the distance of their landmarks, centred and scaled, from the median of all."""
    if not source.info.points:
        fix = f"{source.info.name} has neither classes of accessories nor landmarks"
        raise ConfigError("min-variance cannot be told", where="--subset", fix=fix)
    points = np.stack([source[i].points for i in pool])
    points = points - points.mean(1, keepdims=True)
    points = points / np.sqrt(np.square(points).sum(2).mean(1))[:, None, None]
    distance = np.linalg.norm(points - np.median(points, axis=0), axis=2).mean(1)
    return [pool[i] for i in np.argsort(distance, kind="stable")]


def _names(path: Path, option: str) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        known = f"one of: {', '.join(SUBSETS)}, or " if option == "--subset" else ""
        raise ConfigError(
            "cannot be read", where=f"{option} {path}", fix=f"use {known}a file of names"
        ) from error
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def _find(source: Source, names: set[str]) -> dict[str, int]:
    """Where the named samples are; names that do not occur are left out."""
    found: dict[str, int] = {}
    for i in range(len(source)):
        if len(found) == len(names):
            break
        if (name := source[i].name) in names:
            found[name] = i
    return found
