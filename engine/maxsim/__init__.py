"""MaxSim: for each query token its best-matching document token, summed (Khattab and Zaharia, 2020, ColBERT)."""

from typing import Any

from engine.maxsim.exact import maxsim
from engine.maxsim.quantised import QuantizedDocuments
from engine.maxsim.reference import maxsim_reference
from engine.maxsim.topk import maxsim_topk

__all__ = ["QuantizedDocuments", "describe", "maxsim", "maxsim_reference", "maxsim_topk"]


def describe(device: str = "cpu") -> dict[str, Any]:
    """Which implementation scores on a device, and in which precision; see `engine.maxsim.device.describe`."""
    from engine.maxsim import device as accelerator  # imports torch

    return accelerator.describe(device)
