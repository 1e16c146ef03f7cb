"""A trained model on disk: `model.safetensors` beside `model.json`, which says what it is.

Nothing is pickled. `model.json`: `kind` (multitask or label), `model` (ModelConfig), `label`
(LabelConfig or null), `classes` [{id, name, color}], `framing` {crop_source, crop_scale} of the crops it
was trained on, `synthforge_version`, and what the training recorded under `training` (the hash of its data
among it). Weights may be stored in 16 bits; they are read as 32.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from synthforge import __version__
from synthforge.config import from_dict, to_dict
from synthforge.conventions import ClassSchema
from synthforge.errors import AssetError
from synthforge.models.label_nets import LabelConfig, LabelTuned
from synthforge.models.multitask import ModelConfig, MultiTaskNet


@dataclass(frozen=True)
class StoredModel:
    """A network in evaluation mode, and the card it was stored with."""

    net: Any  # MultiTaskNet or LabelTuned, or what answers like them
    card: dict

    @property
    def schema(self) -> ClassSchema:
        """The classes it predicts."""
        return ClassSchema.from_plain(self.card["classes"])

    @property
    def certainty(self) -> float:
        """Mean `hourglass.certainty` on faces held out in training (models that do not say: 0.965)."""
        known = self.card["training"].get("certainty")
        return 0.965 if known is None else known


def trained_scale(card: dict, crop_source: str, crop_scale: float) -> float:
    """Side of the crop over its box: that of the training of `card`'s model if it had boxes of this kind,
    else `crop_scale`."""
    framing = card.get("framing") or {}
    return framing["crop_scale"] if framing.get("crop_source") == crop_source else crop_scale


def save_model(
    folder: Path,
    net: MultiTaskNet | LabelTuned,
    schema: ClassSchema,
    training: dict,
    framing: dict | None = None,
    half: bool = False,
) -> None:
    """Write `model.safetensors` and `model.json` into `folder` (each replaced atomically).

    Args:
        schema: classes that the net predicts.
        framing: `crop_source` and `crop_scale` of the crops the net was trained on.
        half: store 16 bits per weight.
    """
    from safetensors.torch import save_file

    label = isinstance(net, LabelTuned)
    card = {
        "kind": "label" if label else "multitask",
        "synthforge_version": __version__,
        "model": to_dict(net.config),
        "label": to_dict(net.label_config) if label else None,
        "classes": schema.to_plain(),
        "framing": framing,
        "training": training,
    }
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: t.detach().cpu().contiguous() for name, t in net.state_dict().items()}
    if half:
        weights = {name: t.half() if t.is_floating_point() else t for name, t in weights.items()}
    save_file(weights, str(folder / "model.safetensors.tmp"))
    (folder / "model.json.tmp").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    for name in ("model.safetensors", "model.json"):
        (folder / f"{name}.tmp").replace(folder / name)


SHIPPED = Path("shipped")  # names the model in the package wherever the folder of a run is taken


def card_path(model: Path) -> Path:
    model = Path(model)
    if model == SHIPPED:
        return Path(__file__).parents[1] / "assets" / "shipped_model.json"
    return model.with_suffix(".json") if model.suffix in (".safetensors", ".json") else model / "model.json"


def _absent(model: Path) -> AssetError:
    return AssetError("no model there", where=str(model), fix="give the folder of a finished training run")


def read_card(model: Path) -> dict:
    """The card of a run's model.

    Raises:
        AssetError: there is none, or it cannot be read.
    """
    try:
        return json.loads(card_path(model).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _absent(model) from error
    except (OSError, ValueError) as error:
        raise AssetError(f"cannot be read ({error})", where=str(model)) from error


def load_model(folder: Path, device: str = "cpu") -> StoredModel:
    """Read a run's model, ready to predict.

    Args:
        folder: of the run, or its safetensors file, whose card lies beside it under the same name; or
            `SHIPPED`.
    Raises:
        AssetError: no model there, or its weights do not fit its card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path, card = card_path(folder), read_card(folder)
    try:
        weights = load_file(str(path.with_suffix(".safetensors")), device="cpu")
    except FileNotFoundError as error:
        raise _absent(folder) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise AssetError(f"cannot be read ({error})", where=str(folder)) from error
    net: MultiTaskNet | LabelTuned = MultiTaskNet(from_dict(ModelConfig, card["model"], str(path)))
    if card["kind"] == "label":
        net = LabelTuned(net, from_dict(LabelConfig, card["label"], str(path)))
    try:
        net.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise AssetError(f"weights do not fit the card ({reason})", where=str(folder)) from error
    net.to(torch.device(device), memory_format=torch.channels_last).eval()
    return StoredModel(net, card)
