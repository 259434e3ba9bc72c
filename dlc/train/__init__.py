"""Training: data, order, the loop, the run's folder, checkpoints, progress."""
