"""Stage I (multi-task) and stage II (label fine-tuning) training, with Lightning."""
