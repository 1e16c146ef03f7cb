"""A trained model for use elsewhere: its two files, a model card, and ONNX checked for parity."""

import json
import logging
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from synthforge.errors import AssetError
from synthforge.extras import need
from synthforge.models.multitask import normalise
from synthforge.models.store import SHIPPED, StoredModel, card_path, load_model
from synthforge.provenance import files_sha256

PARITY = 1e-4  # largest difference allowed between ONNX and the network, in each output's own unit
OUTPUTS = ("points", "segmentation", "depth")


def export(
    run: Path,
    out: Path,
    onnx: bool = False,
    licence: str = "not stated",
    progress: Callable[[int, int], None] = lambda done, wanted: None,
) -> float | None:
    """Copy the model of `run` into `out`, with `model_card.md` and, if asked for, `model.onnx`.

    Args:
        run: folder of a training run, or `SHIPPED`, whose card is that of the package.
        licence: a line of the card.
        progress: called with (steps done, steps wanted).
    Returns:
        the largest difference between ONNX and the network on random crops; None without ONNX.
    Raises:
        AssetError: no model in `run`, `out` is `run`, a package is missing, or parity fails (the ONNX
            file is then deleted).
    """
    stored = load_model(run)
    if out.resolve() == run.resolve():
        raise AssetError("is the run itself", where=str(out), fix="give another --out")
    out.mkdir(parents=True, exist_ok=True)
    progress(0, 3)
    path = card_path(run)
    for name in ("model.safetensors", "model.json"):
        shutil.copyfile(path.with_suffix(Path(name).suffix), out / name)
    progress(1, 3)
    difference = write_onnx(stored, out / "model.onnx") if onnx else None
    progress(2, 3)
    if run == SHIPPED:
        shutil.copyfile(path.with_suffix(".md"), out / "model_card.md")
    else:
        (out / "model_card.md").write_text(model_card(stored, run, licence, difference), encoding="utf-8")
    progress(3, 3)
    return difference


class Plain(nn.Module):
    """A network as ONNX holds it: uint8 RGB crops in, a tuple of tensors out."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, rgb: UInt8[Tensor, "b 3 s s"]) -> tuple[Tensor, Tensor, Tensor]:
        """`points` b p 2 (fractions of the crop), `segmentation` b c y x (logits), `depth` b y x (metres)."""
        answer = self.net(normalise(rgb))
        return answer.points, answer.segmentation, answer.depth


def write_onnx(stored: StoredModel, path: Path) -> float:
    """Write the network as ONNX and hold it to the network on random crops.

    Returns:
        the largest difference over all outputs, at most `PARITY`.
    Raises:
        AssetError: the packages of the extra are missing, or parity fails; no file is left then.
    """
    need("onnx", "onnx", "--onnx")
    need("onnxscript", "onnx", "--onnx")
    need("onnxruntime", "onnx", "--onnx")
    net, size = Plain(stored.net).eval(), stored.net.config.input_size
    temporary = path.with_suffix(".onnx.tmp")
    try:
        _to_onnx(net, size).save(str(temporary), external_data=False)
        difference = onnx_difference(net, temporary, size)
        if not difference <= PARITY:
            raise AssetError(
                f"ONNX differs from the network by {difference:.1e}, more than {PARITY:g}; deleted",
                where=str(path),
                fix="use the safetensors",
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def _to_onnx(net: Plain, size: int) -> torch.onnx.ONNXProgram:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it mentions packages that are not needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.onnx.export(
            net,
            (torch.zeros(2, 3, size, size, dtype=torch.uint8),),
            input_names=["rgb"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"rgb": {0: "batch"}},
            dynamo=True,
            verbose=False,
        )


@torch.no_grad()
def onnx_difference(net: Plain, path: Path, size: int) -> float:
    """Largest difference between an ONNX file and the network over batches of 1 and 3 random crops."""
    onnxruntime = need("onnxruntime", "onnx", "--onnx")
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in (1, 3):
        rgb = np.random.default_rng(batch).integers(0, 256, (batch, 3, size, size), np.uint8)
        true = net(torch.from_numpy(rgb))
        for ours, theirs in zip(true, session.run(list(OUTPUTS), {"rgb": rgb}), strict=True):
            comparable = ours.shape == theirs.shape and np.isfinite(theirs).all()
            worst = max(worst, float(np.abs(ours.numpy() - theirs).max()) if comparable else np.inf)
    return worst


def model_card(stored: StoredModel, run: Path, licence: str, difference: float | None) -> str:
    """Markdown: what the model is, what it was trained on (with hashes), its scores, its licence."""
    card, config = stored.card, stored.net.config
    kind = "label-tuned network" if card["kind"] == "label" else "multi-task network"
    parameters = sum(p.numel() for p in stored.net.parameters())
    labels = config.input_size // stored.net.label_stride
    onnx = "" if difference is None else f" ONNX differs from it by at most {difference:.1e}."
    lines = [
        f"# Model card: {run.resolve().name}",
        "",
        f"A synthforge {card['synthforge_version']} {kind} of {parameters:,} parameters: landmarks, "
        "segmentation and depth of one face.",
        "",
        f"Licence: {licence}",
        "",
        f"Weights: `model.safetensors`, SHA-256 `{files_sha256(run / 'model.safetensors')}`.{onnx}",
        "",
        "## Input and output",
        "",
        f"- in: RGB, {config.input_size}x{config.input_size}, a square crop of one face as in training",
        "- `points`: 68 landmarks (iBUG order), fractions of the crop",
        f"- `segmentation`: logits, {labels}x{labels}: " + ", ".join(stored.schema.names),
        f"- `depth`: metres, {labels}x{labels}, {config.depth_target}",
        "",
        "## Trained on",
        "",
        *_origins(card),
        "",
        "## Licences of what it was trained on",
        "",
        *_licences(card),
        "",
        "## Scores",
        "",
        *_scores(run, card),
        "",
        "## Training record",
        "",
        *_block(json.dumps(card["training"], indent=1), "json"),
        "",
        "## Configuration",
        "",
        *_configuration(run, card),
    ]
    return "\n".join(lines) + "\n"


def _origins(card: dict) -> list[str]:
    """Data of this training, and of the backbone it started from, as far as the files are still there."""
    training = card["training"]
    lines = []
    for folder in training.get("data", []):
        index = Path(folder) / "dataset.json"  # it holds the hash of every shard
        found = f"SHA-256 of its index `{files_sha256(index)}`" if index.is_file() else "no longer there"
        lines.append(f"- synthetic data set `{folder}`: {found}")
    if "target" in training:
        lines.append(f"- {training['photographs']} photographs of `{training['target']}`")
    if training.get("backbone"):
        lines.append(f"- the backbone `{training['backbone']}`, trained on:")
        lines += [f"  {line}" for line in _origins(_backbone(training) or {"training": {}})]
    return lines or ["- not recorded"]


def _licences(card: dict) -> list[str]:
    """Of this training and of its backbone's."""
    training = card["training"]
    lines = [f"- {a['name']}: {a['licence']} ({a['source']})" for a in training.get("licences", [])]
    if "target" in training:
        lines.append(f"- photographs of `{training['target']}`: their owners' terms")
    if above := _backbone(training):
        lines += _licences(above)
    return lines or ["- not recorded"]


def _backbone(training: dict) -> dict | None:
    """Card of the backbone that a training started from, if it is still there."""
    path = Path(training.get("backbone") or "") / "model.json"
    return (
        json.loads(path.read_text(encoding="utf-8")) if training.get("backbone") and path.is_file() else None
    )


def _scores(run: Path, card: dict) -> list[str]:
    """Held-out figures of the training, and the tables that `synthforge evaluate` left beside the run."""
    lines = [
        f"- held-out synthetic samples, {name.removeprefix('check/')}: {value:.4g}"
        for name, value in card["training"].get("held_out", {}).items()
    ]
    for file in sorted(run.glob("eval/*/scores.md")):
        lines += ["", f"### {file.parent.name}", "", file.read_text(encoding="utf-8").strip()]
    return lines or ["None beside the run."]


def _configuration(run: Path, card: dict) -> list[str]:
    file = run / "config.yaml"
    if file.is_file():
        return _block(file.read_text(encoding="utf-8").strip(), "yaml")
    return _block(json.dumps(card["model"], indent=1), "json")


def _block(text: str, language: str) -> list[str]:
    return [f"```{language}", text, "```"]
