"""Ground floor: config, plan, tasks, shards, executors.  Knows no step by name."""
