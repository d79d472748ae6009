"""Decontamination: texts that stand in evaluation benchmarks are found, and cut or removed with their documents."""
