"""MaxSim: for each query token its best-matching document token, summed (Khattab and Zaharia, 2020, ColBERT)."""

from engine.maxsim.exact import maxsim
from engine.maxsim.quantised import QuantizedDocuments
from engine.maxsim.reference import maxsim_reference
from engine.maxsim.topk import maxsim_topk

__all__ = ["QuantizedDocuments", "maxsim", "maxsim_reference", "maxsim_topk"]
