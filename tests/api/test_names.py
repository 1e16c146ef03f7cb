"""`import synthforge` costs nothing, and every name it promises is there."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import synthforge

SOURCE = Path(synthforge.__file__)


def test_importing_is_instant_and_light():
    code = (
        "import sys, time; start = time.perf_counter(); import synthforge; dir(synthforge)\n"
        "print(time.perf_counter() - start)\n"
        "print([m for m in ('torch', 'numpy', 'numba', 'cv2', 'h5py', 'scipy') if m in sys.modules])"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(3)]
    seconds, heavy = zip(*(done.stdout.split("\n", 1) for done in runs), strict=True)
    assert min(map(float, seconds)) < 0.1
    assert heavy[0].strip() == "[]"


def test_names_are_those_a_type_checker_sees():
    checked = next(
        node for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    )  # fmt: skip
    seen = {alias.name: node.module for node in checked.body for alias in node.names}
    assert {*seen, "SynthforgeError", "__version__"} == set(synthforge.__all__) == set(dir(synthforge))
    for name, home in seen.items():
        value = getattr(synthforge, name)
        assert value is getattr(sys.modules[home], name), name


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'synthforge' has no attribute 'lode'"):
        synthforge.lode  # noqa: B018
