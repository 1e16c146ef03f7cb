"""Stage I (multi-task) and stage II (label fine-tuning) training, with Lightning."""

from synthforge.extras import need

need("lightning", "train", "training")
