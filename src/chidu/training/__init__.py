"""TrainConfig + shards -> Run: the optimiser, its schedule, evaluation, checkpoints and metrics."""
