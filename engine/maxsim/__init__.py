"""MaxSim: for each query token its best-matching document token, summed (Khattab and Zaharia, 2020, ColBERT)."""

from engine.maxsim.exact import maxsim
from engine.maxsim.reference import maxsim_reference

__all__ = ["maxsim", "maxsim_reference"]
