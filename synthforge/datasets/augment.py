"""What random crops look like: named presets, and the map and colours that one draw of them gives.

Source of `synthforge`: the augmentations of synth-forge/synthforge-train with the ones its paper adds; of
`datagen`: the list in "Knowing the Distance" with the ranges of Albumentations 1.3, which it names.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from scipy.special import ndtri

from synthforge.config import read_fields, to_dict
from synthforge.datasets import geometry
from synthforge.datasets.photometric import PhotometricConfig
from synthforge.datasets.sample import Sample
from synthforge.errors import ConfigError


@dataclass(frozen=True)
class AugmentConfig:
    """Geometry of the random crops (degrees, fractions of the crop) and the photometric part.

    `scale` is the crop's side over that of the plain crop; a share `wide` of the views takes
    `wide_scale` instead, so that whole heads are seen too. A share `jitter` is turned, shifted, scaled and
    sheared; with `spread` normal, `rotation` and `shift` are standard deviations and `scale` is mean minus
    and plus one. A share `perspective` has its corners moved by up to `tilt`; a share `celeba` starts from
    the crop of CelebA-HQ; a share `background` gets another background by its alpha (synthetic data): a
    picture of `background_folder`, or a made-up one.

    In YAML a preset's name stands for all keys, and `{preset: NAME, ...}` changes some of them.
    """

    rotation: float = 16.0
    scale: tuple[float, ...] = (0.88, 1.15)
    wide: float = 0.25
    wide_scale: tuple[float, ...] = (1.15, 1.75)
    shift: float = 0.06
    shear: float = 0.05
    mirror: float = 0.5
    jitter: float = 1.0
    spread: Literal["uniform", "normal"] = "uniform"
    perspective: float = 0.0
    tilt: float = 0.1
    celeba: float = 0.0
    background: float = 0.0
    background_folder: str = ""
    photometric: PhotometricConfig = field(default_factory=PhotometricConfig)

    def __post_init__(self):
        for name in ("wide", "mirror", "jitter", "perspective", "celeba", "background"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"got {getattr(self, name)}", where=name, fix="use 0 to 1")
        for name, top in (("rotation", 180.0), ("shift", 1.0), ("shear", 1.0), ("tilt", 0.3)):
            if not 0 <= getattr(self, name) <= top:
                raise ConfigError(f"got {getattr(self, name)}", where=name, fix=f"use 0 to {top:g}")
        for name in ("scale", "wide_scale"):
            value = getattr(self, name)
            if len(value) != 2 or not 0 < value[0] <= value[1]:
                raise ConfigError(f"got {list(value)}", where=name, fix="use two numbers, the smaller first")

    @classmethod
    def from_plain(cls, data: Any, where: str) -> "AugmentConfig":
        """From a preset's name, or keys and values."""
        if isinstance(data, str):
            return augmentation(data)
        if not isinstance(data, dict):
            known = ", ".join(AUGMENTATIONS)
            raise ConfigError(f"got {data!r}", where=where, fix=f"give keys and values, or one of: {known}")
        base = (augmentation(data["preset"]) if "preset" in data else cls()).to_plain()
        changes = {key: value for key, value in data.items() if key != "preset"}
        return read_fields(cls, _changed(base, changes), where)

    @classmethod
    def plain_keys(cls, data: dict) -> dict[str, Any]:
        """Keys of the YAML form and their types."""
        return {f.name: f.type for f in fields(cls)} | {"preset": str}

    @classmethod
    def laid_over(cls, below: Any, above: Any) -> Any:
        """YAML form of `above` over `below`: keys change what is below, a preset replaces it."""
        if not isinstance(above, dict) or "preset" in above:
            return above
        return _changed(cls.from_plain(below, "augment").to_plain(), above)

    def to_plain(self) -> dict:
        """As `from_plain` reads it, all keys given."""
        return {f.name: to_dict(getattr(self, f.name)) for f in fields(self)}


def _changed(base: dict, changes: dict) -> dict:
    """All keys, with some of them changed."""
    if isinstance(photometric := changes.get("photometric"), dict):
        changes = changes | {"photometric": base["photometric"] | photometric}
    return base | changes


AUGMENTATIONS = {
    "none": AugmentConfig(mirror=0.0, jitter=0.0, wide=0.0, photometric=PhotometricConfig(amount=0.0)),
    "weak": AugmentConfig(
        rotation=10.0, scale=(0.92, 1.08), wide=0.0, shear=0.0, photometric=PhotometricConfig(amount=0.0)
    ),
    "medium": AugmentConfig(),
    "strong": AugmentConfig(
        rotation=28.0,
        scale=(0.88, 1.2),
        shift=0.08,
        shear=0.1,
        photometric=PhotometricConfig(amount=0.9),
    ),
    # Its crops are 2.2 to 4 of its units wide, the plain one 2.4: 0.92 to 1.67, half of them near 1.
    "synthforge": AugmentConfig(
        rotation=18.0,
        scale=(0.9, 1.1),
        wide=0.5,
        wide_scale=(1.0, 1.67),
        shift=0.05,
        shear=0.0,
        spread="normal",
        perspective=0.5,
        tilt=0.1,
        photometric=PhotometricConfig(
            amount=1.0, color=0.0, downscale=0.0, noise=0.0, jpeg=0.0, erase=0.0,
            grey=0.2, gamma=0.2, gamma_span=4.0, blur=0.3, block=0.4, fuse=0.2, tone=0.2,
        ),
    ),
    "datagen": AugmentConfig(
        rotation=45.0,
        scale=(0.9, 1.1),
        wide=0.0,
        shift=0.0625,
        shear=0.0,
        mirror=0.1,
        jitter=0.1,
        perspective=0.1,
        tilt=0.1,
        celeba=0.3,
        background=0.5,
        photometric=PhotometricConfig(
            amount=1.0, color=0.0, gamma=0.0, downscale=0.0, erase=0.0, grey=0.1, blur=0.1, noise=0.1,
            jpeg=0.5, jpeg_quality=(80, 100), tone=0.05, hue=0.1, fog=0.1, shadow=0.1, rain=0.1, spatter=0.1,
        ),
    ),
}  # fmt: skip


def augmentation(name: str) -> AugmentConfig:
    """Preset by name."""
    if name not in AUGMENTATIONS:
        raise ConfigError(
            f"unknown augmentation {name!r}", where="augment", fix=f"use one of: {', '.join(AUGMENTATIONS)}"
        )
    return AUGMENTATIONS[name]


def random_matrix(
    sample: Sample, size: int, config: AugmentConfig, rng: np.random.Generator, crop_scale: float
) -> geometry.Map:
    """Map of one random crop; the plain crop is `crop_scale` times the sample's box."""
    wide, mirror, *draws, jitter, tilted, celeba = rng.random(10)
    matrix = geometry.crop_matrix(sample.box, size, crop_scale)
    if celeba < config.celeba and sample.points is not None:
        matrix = geometry.celeba_matrix(sample.points, size)
    moves: dict[str, Any] = {"scale": 1.0}
    if jitter < config.jitter:
        moves = _jitter(config, np.array(draws), bool(wide < config.wide))
    crop = (0.0, 0.0, float(size), float(size))
    matrix = geometry.compose(
        geometry.crop_matrix(crop, size, mirror=bool(mirror < config.mirror), **moves), matrix
    )
    if tilted < config.perspective:
        matrix = geometry.compose(
            geometry.tilt_matrix(config.tilt * rng.uniform(-1, 1, (4, 2)), size), matrix
        )
    return matrix


def _jitter(config: AugmentConfig, draws: np.ndarray, wide: bool) -> dict[str, Any]:
    """Turn, scale, shift and shear from five uniform numbers."""
    low, high = config.wide_scale if wide else config.scale
    normal = config.spread == "normal"
    z = ndtri(np.clip(draws, 1e-4, 1 - 1e-4)) if normal else 2 * draws - 1
    if normal and not wide:
        scale = max(0.3, (low + high) / 2 + (high - low) / 2 * z[1])
    else:
        scale = low * (high / low) ** draws[1]
    return {
        "rotation": np.deg2rad(config.rotation) * z[0],
        "scale": scale,
        "shift": (config.shift * z[2], config.shift * z[3]),
        "shear": config.shear * (2 * draws[4] - 1),
    }
