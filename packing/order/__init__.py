"""In which order sequences of different queues are trained on."""
