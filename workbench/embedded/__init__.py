"""The default model and the default collection, with no network."""
