"""Configuration of the generator: the values of the released `next3d_ffhq_512` as defaults.

Everything that sizes a tensor or enters a formula is a field, so that a shrunken generator is an ordinary
configuration.  Plain JSON in and out (`to_dict`, `from_dict`); unknown keys are refused.

Sources: Sun et al. (2023), "Next3D"; Chan et al. (2022), "EG3D", for mapping, rendering and super-resolution.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class RenderConfig:
    """Volume rendering: the interval of ray parameters, the volume's size and the number of samples."""

    ray_start: float = 2.25  # volume units along the unit ray
    ray_end: float = 3.3
    box_warp: float = 1.0  # edge of the cube that the planes cover, volume units
    depth_resolution: int = 48  # coarse samples per ray
    depth_resolution_importance: int = 48  # fine samples per ray
    white_back: bool = False  # composite over white instead of black


@dataclass(frozen=True)
class Next3DConfig:
    """Sizes and constants of the whole generator.

    Resolutions are powers of two; min(channel_base / r, channel_max) features at resolution r.
    """

    z_dim: int = 512
    w_dim: int = 512
    c_dim: int = 25  # camera label: cam2world 4x4, intrinsics 3x3, row-major
    mapping_layers: int = 2
    c_scale: float = 1.0  # multiplies the conditioning label
    c_gen_conditioning_zero: bool = False  # True: the generator ignores the conditioning camera
    channel_base: int = 32768
    channel_max: int = 512
    plane_resolution: int = 256  # texture and tri-plane
    plane_features: int = 32  # features per plane and of the neural texture
    mouth_resolution: int = 64  # input of the mouth network
    mouth_final: int = 4  # where the mouth network's encoder ends
    blending_final: int = 32  # where the blending network's encoder ends
    decoder_hidden: int = 64
    neural_resolution: int = 64  # rays per image edge
    sr_resolution: int = 128  # input of the super-resolution
    sr_channels: tuple[int, int] = (256, 128)
    sr_clamp: float = 256.0  # activations of the super-resolution are clamped to +-this
    img_resolution: int = 512
    img_channels: int = 3
    rendering: RenderConfig = field(default_factory=RenderConfig)

    def __post_init__(self) -> None:
        """Refuses sizes that no generator can have; the error names the field."""
        for name, value in vars(self).items():
            if name.endswith(("_resolution", "_final")) and name not in (
                "neural_resolution",
                "img_resolution",
            ):
                if value < 4 or value & (value - 1):
                    raise ValueError(f"config: {name} = {value} is no power of two >= 4")
            elif type(value) is int and value < 1:
                raise ValueError(f"config: {name} = {value} is not positive")
        if not self.mouth_final < self.mouth_resolution <= self.plane_resolution:
            raise ValueError(
                f"config: mouth_final < mouth_resolution <= plane_resolution does not hold: "
                f"{self.mouth_final}, {self.mouth_resolution}, {self.plane_resolution}"
            )
        if not self.blending_final < self.plane_resolution:
            raise ValueError(
                f"config: blending_final = {self.blending_final} is not below "
                f"plane_resolution = {self.plane_resolution}"
            )
        if self.img_resolution != 4 * self.sr_resolution:
            raise ValueError(
                f"config: img_resolution = {self.img_resolution} is not 4 x sr_resolution "
                f"({self.sr_resolution}); only the 8XDC super-resolution is known"
            )
        if self.plane_features < self.img_channels:
            raise ValueError(
                f"config: plane_features = {self.plane_features}, but images have {self.img_channels}"
            )

    def channels(self, resolution: int) -> int:
        """Features at a resolution."""
        return min(self.channel_base // resolution, self.channel_max)

    @property
    def num_ws(self) -> int:
        """Rows of w that one backbone reads; `mapping` returns twice as many (general, then texture)."""
        return 2 * (self.plane_resolution.bit_length() - 1) - 2

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` inverts it."""
        values = asdict(self)
        values["sr_channels"] = list(self.sr_channels)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Next3DConfig":
        """Configuration from plain values; absent keys keep the released ones.

        Raises ValueError on unknown keys, wrong types and impossible sizes.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"config: no mapping of names to values, but {type(values).__name__}")
        values = dict(values)
        rendering = _checked(RenderConfig, values.pop("rendering", {}), "rendering.")
        if "sr_channels" in values:
            channels = values["sr_channels"]
            if not (
                isinstance(channels, (list, tuple))
                and len(channels) == 2
                and all(type(c) is int and c > 0 for c in channels)
            ):
                raise ValueError(f"config: sr_channels = {channels!r} is no pair of positive integers")
            values["sr_channels"] = tuple(channels)
        return _checked(cls, values | {"rendering": rendering}, "")


def _checked(cls: type, values: Any, where: str) -> Any:
    """Builds a config dataclass from a mapping whose keys and scalar types it checks."""
    if not isinstance(values, Mapping):
        raise ValueError(f"config: {where or 'the top level'} is no mapping")
    known = {f.name: f.type for f in fields(cls)}
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"config: unknown {where}{unknown[0]}; known: {', '.join(known)}")
    result = {}
    for name, value in values.items():
        kind = known[name]
        if kind is float and type(value) is int:
            value = float(value)
        if kind in (int, float, bool) and type(value) is not kind:
            raise ValueError(f"config: {where}{name} = {value!r} is no {kind.__name__}")
        result[name] = value
    return cls(**result)
