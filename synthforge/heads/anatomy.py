"""Names of parts that heads share, and two places on the canonical head (metres)."""

import numpy as np

EYE_PARTS = ("left_eyeball", "right_eyeball")
MOUTH_PARTS = ("upper_teeth", "lower_teeth", "upper_gum", "lower_gum", "tongue", "mouth_bag")
INNER_WORDS = ("eye", "teeth", "gum", "tongue", "mouth", "socket", "lash")  # parts named so lie inside
BRAINCASE = np.array([0.0, 0.045, -0.010])  # its centre
NECK_HEIGHT = -0.115  # y between the head and the shoulders
