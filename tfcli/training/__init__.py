"""Training: the plan, the batches, the optimizers, the loop, the evaluation."""
