"""Build a system from its text, once nothing is left that could keep it from being built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import TokenEmbeddings
from workbench.experiments.progress import SILENT, Steps
from workbench.systems.material import Material
from workbench.systems.parts import Built
from workbench.systems.system import System
from workbench.systems.text import Leaf, Reranked, Tree, fusions, leaves, parse_system
from workbench.systems.weights import Weights, check_weights, choose_weights

if TYPE_CHECKING:
    from workbench.experiments.prepare import Prepared


def build(
    text: str,
    prepared: Prepared,
    documents: Callable[[], TokenEmbeddings] | None = None,
    steps: Steps = SILENT,
    scratch: Path | None = None,
) -> System:
    """Build a system over a collection, or open what was kept of its stages from the last time.

    Args:
        text: Such as "bm25:k=1000 > maxsim"; see `parse_system`.
        prepared: Collection, model and vectors; documents are encoded only where a stage needs them.
        documents: Gives the vectors that late stages hold, such as pooled ones; those of `prepared` when None.
        steps: Told of the progress.
        scratch: A folder for indexes that are not kept for next time.

    Returns:
        The system.

    Raises:
        InputError: what `parse_system` raises, or weights that no judgements can choose.
        MissingExtraError: a stage needs a package that is not installed.
        NotFoundError: a stage needs a model that is not there; all before anything is built.
    """
    tree = parse_system(text)
    material = Material(prepared, documents, steps, scratch)
    check(tree, material)
    return System(str(tree), _built(tree, material), material)


def identity(text: str, prepared: Prepared) -> list[Any]:
    """All that decides the numbers of a system beside texts, judgements and vectors, as JSON values: stage by stage.

    Raises:
        NotFoundError: a stage needs a model that is not there.
    """
    tree, material = parse_system(text), Material(prepared)
    return [[leaf.name, leaf.kind.identity(leaf.options, material)] for leaf in leaves(tree)]


def packages(text: str) -> tuple[str, ...]:
    """Distributions whose version can change the numbers of a system, beside those of all."""
    return tuple(dict.fromkeys(name for leaf in leaves(parse_system(text)) for name in leaf.kind.packages))


def check(tree: Tree, material: Material) -> None:
    """Raise what would keep a system from being built; see `build`."""
    for leaf in leaves(tree):
        leaf.kind.check(leaf.options, material)
    if any(fused.options.chosen for fused in fusions(tree)):
        check_weights(material.collection)


def _built(tree: Tree, material: Material) -> Built:
    if isinstance(tree, Leaf):
        return Built(tree, _stage(tree, material))
    if isinstance(tree, Reranked):
        return Built(tree, _stage(tree.by, material), (_built(tree.first, material),))
    parts = tuple(_built(part, material) for part in tree.parts)
    if not tree.options.chosen:
        return Built(tree, None, parts, Weights(tree.options.fixed(len(parts))))
    collection = material.collection
    systems = [System(str(part.tree), part, material) for part in parts]
    texts = [collection.queries[query] for query in collection.judged_queries]
    asked = [system.ask(texts) for system in systems]
    found = [[s.found(q[number]) for s, q in zip(systems, asked, strict=True)] for number in range(len(texts))]
    return Built(tree, None, parts, choose_weights(found, tree.options, collection, material.ties))


def _stage(leaf: Leaf, material: Material) -> Any:
    material.steps(f"build {leaf.name}", 0, 1)
    kind: Any = leaf.kind
    stage = kind(leaf.options, material)
    material.steps(f"build {leaf.name}", 1, 1)
    return stage
