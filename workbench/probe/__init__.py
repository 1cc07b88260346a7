"""Minimal pairs: two texts that differ in what matters, and a model that should see it."""

from workbench.probe.pairs import MinimalPair, own_pairs, read_pairs
from workbench.probe.probe import PairResult, Phenomenon, Probe, probe

__all__ = ["MinimalPair", "PairResult", "Phenomenon", "Probe", "own_pairs", "probe", "read_pairs"]
