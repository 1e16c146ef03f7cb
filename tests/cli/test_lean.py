"""Without Lightning everything but training works, and training says in one line what brings it."""

import subprocess
import sys

import cv2

from synthforge.datasets.shards import ShardSource
from synthforge.models.store import SHIPPED, load_model, save_model
from synthforge.storage.run import run
from tests.helpers.fake_source import FakeConfig, FakeSource

SCRIPT = """
import sys
for module in ("lightning", "pytorch_lightning", "torchmetrics"):
    sys.modules[module] = None  # importing it fails
from synthforge.cli import main
from synthforge.errors import SynthforgeError
for line in sys.stdin:
    try:
        main(line.split(), standalone_mode=False)
        print("fine:", line.split()[0])
    except SynthforgeError as error:
        print("error:", line.split()[0], error)
"""


def test_a_lean_installation_does_all_but_train(tmp_path):
    data, out = tmp_path / "faces", tmp_path / "out"
    run(FakeSource(), FakeConfig(), data, 3, workers=0)
    sample = ShardSource(data)[0]
    cv2.imwrite(str(tmp_path / "a.png"), sample.rgb[..., ::-1])
    (tmp_path / "boxes.csv").write_text("file,x0,y0,x1,y1\na.png," + ",".join(map(str, sample.box)) + "\n")
    stored = load_model(SHIPPED)
    save_model(tmp_path / "run", stored.net, stored.schema, {"steps": 1})
    jobs = [
        f"predict {tmp_path}/a.png --boxes {tmp_path}/boxes.csv --out {out}/p",
        f"evaluate --data {data} --out {out}/e --panels 1",
        f"report {data} --samples 1",
        f"export-model {tmp_path}/run --out {out}/m",
        f"verify {data}",
        f"train-multitask --data {data} --out {out}/t",
        f"label-finetune --target shards --data {data} --out {out}/l",
        f"study label_count_small --test {data}",
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input="\n".join(jobs), capture_output=True, text=True, cwd=tmp_path
    )
    said = [line for line in done.stdout.splitlines() if line.startswith(("fine: ", "error: "))]
    assert said[:5] == [f"fine: {job.split()[0]}" for job in jobs[:5]], done.stdout + done.stderr
    missing = 'training: lightning is not installed; pip install "synthforge[train]"'
    assert said[5:] == [f"error: {job.split()[0]} {missing}" for job in jobs[5:]]
    for file in ("p/predictions.json", "e/scores.json", "e/panels.png", "m/model_card.md"):
        assert (out / file).is_file()
    assert not (out / "t").exists() and not (out / "l").exists()
