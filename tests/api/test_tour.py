"""The notebook in docs/ runs as it stands, and what is kept of it is small and of no machine."""

import re
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOUR = ROOT / "docs" / "tour.ipynb"
nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra [test]")
pytest.importorskip("nbclient", reason="notebooks need the extra [test]")
pytest.importorskip("ipykernel", reason="notebooks need the extra [test]")


def kinds(notebook) -> list[list[str]]:
    """What each cell of code shows: streams and kinds of data."""
    code = (cell for cell in notebook.cells if cell.cell_type == "code")
    return [sorted(kind for o in cell.outputs for kind in (o.get("data") or {o.name: ""})) for cell in code]


def test_what_is_kept_is_small_and_names_no_machine():
    text = TOUR.read_text(encoding="utf-8")
    notebook = nbformat.read(TOUR, 4)
    assert len(text) < 1e6
    words = re.sub(r'base64,[^"]*"|"image/[a-z]+": "[^"]*"', "", text)
    assert not re.findall(r"/(?:home|root|work|tmp|Users)/", words)
    assert sum("text/html" in shown or "image/jpeg" in shown for shown in kinds(notebook)) >= 5
    assert not [shown for shown in kinds(notebook) if "stderr" in shown]


@pytest.mark.slow
def test_it_runs_and_shows_the_same(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'third_party'}")
    loader = SourceFileLoader("tour", str(ROOT / "scripts" / "tour"))
    tour = module_from_spec(spec_from_loader("tour", loader))
    loader.exec_module(tour)
    assert kinds(tour.executed(TOUR)) == kinds(nbformat.read(TOUR, 4))
