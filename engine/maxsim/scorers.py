"""Scorers by name: MaxSim and what can stand in its place, for training, for exact scoring and for reranking.

A scorer is written as its name, with settings behind a colon where it has some: "maxsim", "xtr:retrieved=10000",
"smooth-maxsim:temperature=0.1". A new one is a class in `scorer_kinds.py`, or in `learned_scorers.py` where it has
weights, and a line in `KINDS`, or an entry point of the group `late_interaction.scorers` in a package of its own.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engine import plugins
from engine.embeddings import TokenEmbeddings
from engine.errors import CorruptDataError, InputError
from engine.files import replace_text
from engine.maxsim.exact import maxsim
from engine.model_names import ModelName
from engine.typed import json_or_text

if TYPE_CHECKING:
    from torch import Tensor

    from engine.maxsim.differentiable import Ragged

KINDS = {
    "maxsim": "engine.maxsim.scorer_kinds:MaxSim",
    "mean-maxsim": "engine.maxsim.scorer_kinds:MeanMaxSim",
    "smooth-maxsim": "engine.maxsim.scorer_kinds:SmoothMaxSim",
    "top-mean": "engine.maxsim.scorer_kinds:TopMeanSim",
    "xtr": "engine.maxsim.scorer_kinds:XTR",
    "weighted-maxsim": "engine.maxsim.learned_scorers:WeightedMaxSim",
    "lite": "engine.maxsim.learned_scorers:Lite",
}
DEFAULT = "maxsim"
FILE, WEIGHTS = "scorer.json", "scorer.safetensors"  # of a scorer with weights, in the folder of the model


class Scorer(Protocol):
    """What losses, rerank and exact scoring need; a torch module, so that an optimizer finds its parameters.

    `about` (one line), `formula` and `source` are for people: s_ij is the dot product of query token i with document
    token j, n the number of query tokens. `learned` says that it has weights, which come from training; `mean` that its
    scores are means over the query's tokens, which lie closer together than sums.
    """

    about: str
    formula: str
    source: str
    learned: bool
    mean: bool

    def __call__(self, queries: Ragged, documents: Ragged) -> Tensor:
        """Score every query against every document, [m, n], differentiably in both and in the scorer's parameters.

        A document without tokens scores negative infinity and gets no gradient.
        """
        ...

    def matched(self, queries: Ragged, columns: Sequence[Ragged]) -> Tensor:
        """Score query i against the i-th document of each column, [n, columns], differentiably."""
        ...

    def anneal(self, share: float) -> None:
        """Training has come this far, 0 to 1: for scorers that change on the way; searches use what they end with."""
        ...

    def score(
        self, queries: TokenEmbeddings, documents: TokenEmbeddings, within: TokenEmbeddings | None = None
    ) -> np.ndarray:
        """Score every query against every document without gradients.

        Args:
            queries: m queries.
            documents: n documents of the same dimension.
            within: The collection that the documents are a part of, for scorers that look at all of it (XTR); None
                when they are all of it.

        Returns:
            float32 [m, n]; negative infinity for a document without tokens.

        Raises:
            InputError: the dimensions differ, or a vector is not finite.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Settings and, where there are some, a hash of the weights, as JSON values: what a score depends on."""
        ...


def names() -> list[str]:
    """Names that `get` takes."""
    return [*KINDS, *(name for name in plugins.names(plugins.SCORERS) if name not in KINDS)]


def about(name: str) -> str:
    """What the scorer of a name does, in one line; empty where another package says nothing of its own.

    Raises:
        InputError: an unknown name.
    """
    return getattr(_kind(parse(name)[0]), "about", "")


def check(name: str) -> None:
    """Check what was written as a scorer.

    Raises:
        InputError: an unknown name (the sentence lists the known ones), or a setting that makes no sense.
    """
    head, settings = parse(name)
    if settings:
        _build(head, settings, 1)


def get(name: str = DEFAULT, model: str | Path | None = None, dim: int | None = None) -> Scorer:
    """The scorer of a name.

    Args:
        name: Such as "maxsim" or "xtr:retrieved=10000".
        model: Name or folder of the model whose vectors are scored: the weights of a learned scorer lie in its folder.
        dim: Dimension of the vectors, for a learned scorer that is new.

    Returns:
        The scorer.

    Raises:
        InputError: an unknown name or setting, or a learned scorer without weights.
        CorruptDataError: its weights are damaged.
    """
    head, settings = parse(name)
    folder = Path(ModelName.parse(str(model)).name) if model else None
    if folder is not None and dim is None and _kind(head).learned and (folder / FILE).is_file():
        return _load(head, settings, folder)
    return _build(head, settings, dim)


def score(
    scorer: Scorer | str, queries: TokenEmbeddings, documents: TokenEmbeddings, within: TokenEmbeddings | None = None
) -> np.ndarray:
    """Score every query against every document with a scorer or the one of a name; see `Scorer.score`.

    Args:
        scorer: A scorer or its name; "maxsim" needs no torch.
        queries: m queries.
        documents: n documents of the same dimension.
        within: The collection that the documents are a part of; None when they are all of it.

    Returns:
        float32 [m, n].
    """
    if scorer == DEFAULT:
        return maxsim(queries, documents)
    found = get(scorer) if isinstance(scorer, str) else scorer
    return found.score(queries, documents, within)


def parse(name: str) -> tuple[str, dict[str, float]]:
    """A scorer's name and its settings.

    Raises:
        InputError: an unknown name, or a setting that is not written as name=number.
    """
    head, _, tail = str(name).partition(":")
    if head not in KINDS and head not in names():
        raise InputError(f"Unknown scorer {name!r}: choose among {', '.join(names())}.")
    settings: dict[str, float] = {}
    for text in tail.split(",") if tail else ():
        key, found, value = text.partition("=")
        number = json_or_text(value)
        if not found or isinstance(number, bool) or not isinstance(number, (int, float)):
            raise InputError(f"Expected settings of a scorer as name=number, got {text!r}: write {head}:name=2.")
        if (key := key.strip()) in settings:
            raise InputError(f"{name!r} gives {key} twice: keep one of the two.")
        settings[key] = number
    return head, settings


def settings_of(name: str) -> list[str]:
    """Names of the settings that the scorer of a name has."""
    return [setting for setting in inspect.signature(_kind(name)).parameters if setting != "dim"]


def save(scorer: Scorer, name: str, folder: str | Path) -> None:
    """Keep the weights of a learned scorer beside its model; nothing for the others.

    Args:
        scorer: Trained.
        name: As it was asked for.
        folder: Where the model is.
    """
    if not scorer.learned:
        return
    from safetensors.torch import save_file

    state: dict[str, Tensor] = scorer.state_dict()  # type: ignore[attr-defined]
    save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, Path(folder) / WEIGHTS)
    replace_text(Path(folder) / FILE, json.dumps({"scorer": name, "dim": scorer.dim}) + "\n")  # type: ignore[attr-defined]


def _load(head: str, settings: dict[str, float], folder: Path) -> Scorer:
    from safetensors.torch import load_file

    try:
        stored = json.loads((folder / FILE).read_text(encoding="utf-8"))
        known, own = parse(stored["scorer"])
        if known != head or (settings and settings != own):
            raise InputError(f"{folder} was trained with the scorer {stored['scorer']!r}: name that one.")
        scorer = _build(head, own, int(stored["dim"]))
        scorer.load_state_dict(load_file(folder / WEIGHTS))  # type: ignore[attr-defined]
    except InputError:
        raise
    except Exception as error:  # the readers of JSON and safetensors raise many types
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorruptDataError(f"The scorer in {folder} cannot be read ({reason}): train it again.") from None
    return scorer


def _kind(head: str) -> Any:
    if head in KINDS:
        module, _, name = KINDS[head].partition(":")
        return getattr(import_module(module), name)
    return plugins.find(plugins.SCORERS, head)


def _build(head: str, settings: dict[str, float], dim: int | None) -> Scorer:
    kind = _kind(head)
    known = settings_of(head)
    unknown = next((name for name in settings if name not in known), None)
    if unknown is not None:
        what = f"it has {', '.join(known)}" if known else "it has none"
        raise InputError(f"The scorer {head!r} has no setting {unknown!r}: {what}.")
    if not kind.learned:
        return kind(**settings)
    if dim is None:
        raise InputError(
            f"The scorer {head!r} has weights that come from training, and there are none here: train a model with it "
            f"(the setting scorer={head}) and name its folder as the model."
        )
    return kind(dim=dim, **settings)
