"""Measurements, with the peers beside us; never timed tests."""
