"""Benchmarks that others can compare with: by name, task by task, and as a model of mteb."""
