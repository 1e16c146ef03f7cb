"""A folder imports only what stands before it; generating and training stay apart."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "synthforge"
BASE = {
    "types",
    "conventions",
    "errors",
    "extras",
    "rng",
    "config",
    "provenance",
    "strict_yaml",
    "detector",
    "cameras",
    "landmark_sets",
    "attributes",
    "plugins",
    "assets_store",
    "licences",
}
HEADS = BASE | {"render", "heads"}
GENERATING = HEADS | {"scene", "generators", "alignment", "annotate"}
LEARNING = BASE | {"storage", "datasets", "models", "report"}
MAY_IMPORT = {
    "pipeline": GENERATING | {"storage", "pipeline"},
    "cameras": BASE,
    "licensed": BASE | {"licensed"},
    "heads": HEADS | {"licensed"},
    "scene": HEADS | {"scene"},
    "render": BASE | {"render"},
    "generators": HEADS | {"scene", "alignment", "generators"},
    "alignment": HEADS | {"scene", "alignment"},
    "annotate": HEADS | {"scene", "alignment", "annotate"},
    "storage": BASE | {"storage"},
    "report": BASE | {"storage", "report"},
    "datasets": BASE | {"storage", "datasets"},
    "models": BASE | {"models"},
    "prediction": LEARNING | {"prediction"},
    "evaluation": LEARNING | {"prediction", "evaluation"},
    "training": LEARNING | {"training"},
    "api": GENERATING | LEARNING | {"pipeline", "prediction", "api"},
    "study": LEARNING | {"prediction", "evaluation", "training", "study"},
}
LOOK = ("shading", "geometry", "hair", "face")  # each may import those before it
WITHIN_GENERATORS = {
    **{room: set(LOOK[: i + 1]) for i, room in enumerate(LOOK)},
    "accessories": {"shading", "geometry", "accessories"},
    "occluders": {"shading", "geometry", "occluders"},
    "backdrop": {"shading", "backdrop"},
    "raster": {*LOOK, "accessories", "occluders", "backdrop", "raster"},
    "mitsuba": {*LOOK, "raster", "mitsuba"},
    "next3d": {"next3d"},
}


def imported(path: Path, inside: str = "synthforge.") -> set[str]:
    """First components, below `inside`, of the package's own imports anywhere in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = (
                [node.module] if node.module != "synthforge" else [f"synthforge.{a.name}" for a in node.names]
            )
        found |= set(names)
    return names_below(found, inside) - {"__version__"}


def names_below(names: set[str], inside: str) -> set[str]:
    return {name.removeprefix(inside).split(".")[0] for name in names if name.startswith(inside)}


@pytest.mark.parametrize("room", WITHIN_GENERATORS)
def test_rooms_of_the_generators_point_one_way(room):
    files = sorted((PACKAGE / "generators" / room).rglob("*.py"))
    assert files
    for path in files:
        assert imported(path, "synthforge.generators.") - {"base"} <= WITHIN_GENERATORS[room], path.name


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_point_one_way(folder):
    files = sorted((PACKAGE / folder).rglob("*.py"))
    assert files
    for path in files:
        assert imported(path) <= MAY_IMPORT[folder], path.name


def test_every_folder_is_ruled():
    folders = {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()}
    assert folders - {"cli"} <= set(MAY_IMPORT)
    rooms = {p.name for p in (PACKAGE / "generators").iterdir() if (p / "__init__.py").exists()}
    assert rooms == set(WITHIN_GENERATORS)
