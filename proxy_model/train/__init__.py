"""Training: data order, optimizers, schedules, the loop, checkpoints, logs.  torch, numpy, pyarrow and safetensors."""
