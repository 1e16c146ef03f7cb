"""Skinning against scipy's rotations and an explicit chain of 4 x 4 matrices."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from synthforge.heads.lbs import axis_angle_to_matrix, linear_blend_skinning

PARENTS = (-1, 0, 1, 1)
angles = st.lists(st.floats(-6, 6), min_size=3, max_size=3)


@settings(deadline=None, max_examples=100)
@given(angles, st.sampled_from([1.0, 1e-2, 1e-4, 1e-6, 0.0]))
def test_axis_angle_is_scipys_rotvec(vector, scale):
    vector = np.array(vector) * scale
    ours = axis_angle_to_matrix(torch.tensor(vector)).numpy()
    np.testing.assert_allclose(ours, Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)


def test_gradient_at_rest_is_the_generator():
    zero = torch.zeros(3, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(axis_angle_to_matrix, zero).numpy()
    for i, axis in enumerate(np.eye(3)):
        np.testing.assert_allclose(jacobian[:, :, i], np.cross(axis, np.eye(3)).T, atol=1e-12)


def chain(joints, rotations):
    """World transforms that move rest positions, by multiplying 4 x 4 matrices."""
    out = []
    for j, parent in enumerate(PARENTS):
        there, turn, back = np.eye(4), np.eye(4), np.eye(4)
        there[:3, 3], turn[:3, :3], back[:3, 3] = joints[j], rotations[j], -joints[j]
        local = there @ turn @ back
        out.append(local if parent < 0 else out[parent] @ local)
    return out


def test_skinning_is_the_blend_of_the_chains():
    rng = np.random.default_rng(3)
    vertices, joints = rng.normal(size=(2, 50, 3)), rng.normal(size=(2, 4, 3))
    weights = rng.dirichlet(np.ones(4), 50)
    rotations = Rotation.random(8, random_state=5).as_matrix().reshape(2, 4, 3, 3)
    ours = linear_blend_skinning(
        *map(torch.tensor, (vertices, joints, rotations)), PARENTS, torch.tensor(weights)
    )
    for b in range(2):
        blended = np.einsum("vj,jkl->vkl", weights, chain(joints[b], rotations[b]))
        expected = np.einsum("vkl,vl->vk", blended, np.c_[vertices[b], np.ones(50)])[:, :3]
        np.testing.assert_allclose(ours[b].numpy(), expected, atol=1e-10)


def test_rest_pose_changes_nothing():
    rng = np.random.default_rng(4)
    vertices, joints = torch.tensor(rng.normal(size=(1, 20, 3))), torch.tensor(rng.normal(size=(1, 4, 3)))
    rest = torch.eye(3, dtype=torch.float64).expand(1, 4, 3, 3)
    weights = torch.tensor(rng.dirichlet(np.ones(4), 20))
    torch.testing.assert_close(linear_blend_skinning(vertices, joints, rest, PARENTS, weights), vertices)
