"""Encoding, indexes and sweeps on a Ray cluster; the rest of the house knows `workbench.elsewhere` only."""
