"""Whole systems of retrieval as a text: what finds documents, what fuses, what reranks; built, searched and traced.

    from workbench.experiments.prepare import prepare
    from workbench.systems import build, parse_system

    system = build("bm25:k=1000 > maxsim", prepare("cranfield"))
    rankings = system.search(["what is the drag of a slender body"], k=10)   # `Answer`: a Ranking with `passed`
    system.describe()                     # text, bytes, build_s, stages: options, bytes, p50_ms, entered, sent
    trace(system, question, document, k)  # `SystemTrace`: rank and score by stage, who dropped it, what wins it back
    losses(system, k)                     # `SystemLosses`: of the relevant documents lost, so many at each stage
    system.reasons(question, document)    # stage -> words of the question and what each adds (BM25)

`str(parse_system(text))` is the one text of a system, `finders()` and `rerankers()` the names of stages. A collection's
own questions are encoded once: `system.search(system.ask(list(collection.queries.values())), k)`.
"""

from workbench.systems.building import build
from workbench.systems.lost import losses
from workbench.systems.parts import Answer, Passed
from workbench.systems.stages import finders, rerankers
from workbench.systems.system import System
from workbench.systems.text import Fused, Leaf, Reranked, parse_system
from workbench.systems.tracing import SystemTrace, trace

__all__ = [
    "Answer",
    "Fused",
    "Leaf",
    "Passed",
    "Reranked",
    "System",
    "SystemTrace",
    "build",
    "finders",
    "losses",
    "parse_system",
    "rerankers",
    "trace",
]
