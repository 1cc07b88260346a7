"""A typed client of `workbench serve`."""

from workbench.client.client import Client

__all__ = ["Client"]
