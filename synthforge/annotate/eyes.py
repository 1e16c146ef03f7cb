"""Pupils and gaze from the eye joints."""

import numpy as np
import torch
from jaxtyping import Float

from synthforge.heads.base import HeadModel
from synthforge.types import SceneParams

EYES = ("left_eye", "right_eye")


def pupils_and_gaze(
    head: HeadModel, params: SceneParams
) -> tuple[Float[np.ndarray, "2 3"], Float[np.ndarray, "2 3"]]:
    """Pupil centres (m) and unit gaze directions in the world frame, the subject's left eye first.

    The gaze is the eyeball's axis (forward at rest); the pupil lies on it at the eyeball's radius.
    """
    with torch.no_grad():
        arrays = (params.shape, params.pose, params.expression)
        turns, places = head.joint_frames(*(torch.from_numpy(a)[None].float() for a in arrays))
    eyes = [head.joint_names.index(name) for name in EYES]
    gaze = turns[0, eyes, :, 2].numpy().astype(np.float64)
    return places[0, eyes].numpy() + gaze * head.eye_radius[:, None], gaze
