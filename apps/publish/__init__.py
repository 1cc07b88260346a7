"""A collection as a folder of static files: search, explanation, X-ray and lessons with no server behind them."""

from __future__ import annotations

from apps.publish.publishing import Published, publish

__all__ = ["Published", "publish"]
