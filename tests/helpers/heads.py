"""Session fixtures for heads that need an import or a build."""

from pathlib import Path

import numpy as np
import pytest
import torch

from synthforge.heads import load_head
from synthforge.heads.anthro import ASSET
from synthforge.heads.base import HeadModel
from tests.helpers.shared import SHARED


@pytest.fixture(scope="session")
def ict_file(tmp_path_factory) -> Path:
    """ICT-FaceKit imported into a store of its own."""
    source = SHARED / "ict_facekit.npz"
    if not source.exists():
        pytest.skip(f"{source} is absent (set SYNTHFORGE_SHARED to the folder that holds it)")
    from synthforge.heads.ict import install_ict

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNTHFORGE_HOME", str(tmp_path_factory.mktemp("assets")))
        return install_ict(source)[0]


@pytest.fixture(scope="session")
def ict_head(ict_file) -> HeadModel:
    return HeadModel.from_npz("ict", ict_file)


@pytest.fixture(scope="session")
def anthro_head() -> HeadModel:
    if not ASSET.is_file():
        pytest.skip(f"{ASSET} is absent: run scripts/build_anthro")
    return load_head("anthro")


@pytest.fixture(params=["ict", "anthro"])
def any_head(request) -> HeadModel:
    """Each real head in turn."""
    return request.getfixturevalue(f"{request.param}_head")


def posed(head: HeadModel, shape=None, expression=None, pose=None) -> np.ndarray:
    """Vertices (v 3, float64) for coefficients by name, pose axis-angle by joint name."""
    s, e = torch.zeros(1, head.n_shape), torch.zeros(1, head.n_expression)
    p = torch.zeros(1, head.n_joints, 3)
    for name, value in (shape or {}).items():
        s[0, head.shape_names.index(name)] = value
    for name, value in (expression or {}).items():
        e[0, head.expression_names.index(name)] = value
    for name, value in (pose or {}).items():
        p[0, head.joint_names.index(name)] = torch.as_tensor(value)
    with torch.no_grad():
        return head(s, e, p)[0].numpy().astype(np.float64)
