"""Mitsuba itself, which is optional."""

import os
import subprocess
import sys
from functools import cache
from types import ModuleType

from synthforge.errors import AssetError
from synthforge.extras import need

# Renders one pixel: LLVM that Mitsuba cannot use ends the whole process, which no `except` can catch.
_PROBE = """
import mitsuba as mi
mi.set_variant({variant!r})
scene = {{"type": "scene", "integrator": {{"type": "path"}}, "light": {{"type": "constant"}},
         "ball": {{"type": "sphere", "bsdf": {{"type": "principled"}}}},
         "sensor": {{"type": "perspective", "film": {{"type": "hdrfilm", "width": 1, "height": 1}}}}}}
mi.util.convert_to_bitmap(mi.render(mi.load_dict(scene), spp=4))
"""


@cache
def load_mitsuba(variant: str) -> ModuleType:
    """Mitsuba with a variant chosen, one thread per process.

    Raises:
        AssetError: it is not installed, or the variant does not run on this machine.
    """
    mitsuba = need("mitsuba", "pbr", "backend pathtrace")
    drjit = need("drjit", "pbr", "backend pathtrace")
    if variant != "scalar_rgb" and not _runs(variant):
        fix = "install LLVM 19 (libllvm19), or use scalar_rgb"
        raise AssetError("does not run on this machine", where=f"pathtrace: variant: {variant}", fix=fix)
    mitsuba.set_variant(variant)
    mitsuba.set_log_level(mitsuba.LogLevel.Error)
    drjit.set_thread_count(1)  # samples are spread over processes
    return mitsuba


def _runs(variant: str) -> bool:
    """Whether a variant renders, found out in a process of its own."""
    command = [sys.executable, "-c", _PROBE.format(variant=variant)]
    return subprocess.run(command, capture_output=True, env=os.environ, check=False).returncode == 0
