"""Experiments over the engine: see, measure and compare late-interaction retrieval."""
