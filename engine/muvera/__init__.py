"""MUVERA: one vector of fixed dimension for many, whose inner product approximates MaxSim.

Dhulipala, Hadian, Jayaram, Lee and Mirrokni, 2024, "MUVERA: Multi-Vector Retrieval via Fixed Dimensional Encodings",
arXiv 2405.19504. Token vectors are told apart by random hyperplanes (SimHash); in every part of space the vectors of a
query are added up and those of a document averaged, so that a query token meets the document tokens that lie where it
lies. That is repeated with other hyperplanes, and the results stand beside each other in one vector.
"""

from engine.muvera.encoding import Muvera
from engine.muvera.settings import FORMS, MuveraSettings
from engine.muvera.stored import Encodings

__all__ = ["FORMS", "Encodings", "Muvera", "MuveraSettings"]
