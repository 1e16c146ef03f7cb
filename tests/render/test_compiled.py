"""Whether the kernels were compiled before is known without compiling them."""

import os
import subprocess
import sys

CODE = """
import sys
import numpy as np
from synthforge.render.rasterize import is_compiled, rasterize
before = is_compiled()
if "draw" in sys.argv:
    points = np.array([[1.0, 1, 1], [7, 1, 1], [1, 7, 1]])
    rasterize(points, np.array([[0, 1, 2]], np.int32), 8, 8)
print(before, is_compiled())
"""


def test_kernels_are_compiled_once_for_an_installation(tmp_path):
    def run(*args):
        env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", CODE, *args], capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert run() == ["False", "False"]
    assert run("draw") == ["False", "True"]
    assert run() == ["True", "True"]
