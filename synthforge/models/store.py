"""A trained model on disk: `model.safetensors` beside `model.json`, which says what it is.

Nothing is pickled. `model.json`: `kind` (multitask or label), `model` (ModelConfig), `label`
(LabelConfig or null), `classes` [{id, name, color}], `synthforge_version`, and what the training
recorded under `training`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from synthforge import __version__
from synthforge.config import from_dict, to_dict
from synthforge.errors import AssetError
from synthforge.models.label_nets import LabelConfig, LabelTuned
from synthforge.models.multitask import ModelConfig, MultiTaskNet


@dataclass(frozen=True)
class StoredModel:
    """A network in evaluation mode, and the card it was stored with."""

    net: nn.Module
    card: dict

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(c["name"] for c in self.card["classes"])


def save_model(folder: Path, net: MultiTaskNet | LabelTuned, classes: list[dict], training: dict) -> None:
    """Write `model.safetensors` and `model.json` into `folder` (each replaced atomically)."""
    from safetensors.torch import save_file

    label = isinstance(net, LabelTuned)
    card = {
        "kind": "label" if label else "multitask",
        "synthforge_version": __version__,
        "model": to_dict(net.config),
        "label": to_dict(net.label_config) if label else None,
        "classes": classes,
        "training": training,
    }
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: t.detach().cpu().contiguous() for name, t in net.state_dict().items()}
    save_file(weights, str(folder / "model.safetensors.tmp"))
    (folder / "model.json.tmp").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    for name in ("model.safetensors", "model.json"):
        (folder / f"{name}.tmp").replace(folder / name)


def load_model(folder: Path, device: str = "cpu") -> StoredModel:
    """Read a run's model, ready to predict.

    Raises:
        AssetError: no model there, or its weights do not fit its card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder) / "model.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        weights = load_file(str(path.with_suffix(".safetensors")), device="cpu")
    except FileNotFoundError as error:
        raise AssetError(
            "no model there", where=str(folder), fix="give the folder of a finished training run"
        ) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise AssetError(f"cannot be read ({error})", where=str(folder)) from error
    net: nn.Module = MultiTaskNet(from_dict(ModelConfig, card["model"], str(path)))
    if card["kind"] == "label":
        net = LabelTuned(net, from_dict(LabelConfig, card["label"], str(path)))
    try:
        net.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise AssetError(f"weights do not fit the card ({reason})", where=str(folder)) from error
    return StoredModel(net.to(torch.device(device)).to(memory_format=torch.channels_last).eval(), card)
