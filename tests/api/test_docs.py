"""The examples of docs/api.md run, in their order."""

import re
from pathlib import Path

import synthforge

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), names)
    assert {"face.png", "face-with-labels.jpg", "faces"} <= {path.name for path in tmp_path.iterdir()}
    assert names["frame"].params.attributes["age"] == 70
    assert len(names["answer"].faces) == 1
    assert names["profile"].params.camera is names["side"]


def test_every_name_is_documented():
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    assert not [name for name in synthforge.__all__ if name not in text and name != "__version__"]
