"""Which tokens each vector of a model stands for, also where the model merges vectors among its own modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import UnsupportedError

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder
    from torch import Tensor

Reader = Callable[[dict[str, Any]], dict[str, Any]]  # from features of texts to those with token vectors
ROWS_AT_ONCE = 64  # vectors whose gradients are taken together


def run_modules(
    model: MultiVectorEncoder, features: dict[str, Any], task: str, first: int = 0, last: int | None = None
) -> dict[str, Any]:
    """Run some modules of a model, with the arguments that it gives each; all of them are its forward pass.

    Args:
        model: The model.
        features: What the first of these modules takes; it may be changed.
        task: "query" or "document".
        first: Number of the first module.
        last: One past the number of the last; all that follow when None.

    Returns:
        The features that the last of them gives.
    """
    from sentence_transformers.util import batch_to_device

    features = batch_to_device(features, model.device)
    for name, module in list(model.named_children())[first:last]:
        features = module(features, **_arguments(model, name, module, task))
    return features


def _arguments(model: MultiVectorEncoder, name: str, module: Any, task: str) -> dict[str, str]:
    from sentence_transformers.base.modules import Router

    takes = isinstance(module, Router) or "task" in getattr(module, "forward_kwargs", ())
    return {"task": task} if takes or "task" in (model.module_kwargs or {}).get(name, []) else {}


def vector_groups(
    model: MultiVectorEncoder, features: dict[str, Any], task: str, read: Reader | None = None
) -> list[list[int]]:
    """Find the positions behind each vector of one text, without a forward pass where masks alone decide.

    Args:
        model: The model.
        features: What its `preprocess` returned for one text.
        task: "query" or "document".
        read: In place of the first module, such as one that reads a long text in windows.

    Returns:
        Positions in `input_ids`, rising, one list a vector; one position each where nothing is merged, none for vectors
        that a module with `added_tokens` put behind the others.

    Raises:
        UnsupportedError: the number of vectors changes in a module that does not let a gradient through.
    """
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.util import batch_to_device

    modules = list(model.children())
    masks = [module for module in modules if type(module) is MultiVectorMask]
    known = (Transformer, Dense, Normalize, MultiVectorMask)
    plain = all(type(module) in known or hasattr(module, "added_tokens") for module in modules)
    expanded = task == "query" and getattr(modules[0], "query_expansion", None) is not None
    if plain and len(masks) == 1 and not expanded:
        return _one_each(masks[0](features, task=task)) + [[] for _ in added_tokens(model)]
    features = batch_to_device(features, model.device)
    if plain:
        texts = features["input_ids"].shape[1]
        return [[place for place in group if place < texts] for group in _one_each(model(features, task=task))]
    return _through(model, features, task, read)


def added_tokens(model: MultiVectorEncoder) -> list[str]:
    """Names of the vectors that modules add behind those of a text's tokens."""
    return [name for module in model.children() for name in getattr(module, "added_tokens", ())]


def _one_each(features: dict[str, Any]) -> list[list[int]]:
    return [[position] for position in features["attention_mask"][0].bool().nonzero()[:, 0].tolist()]


def _through(model: MultiVectorEncoder, features: dict[str, Any], task: str, read: Reader | None) -> list[list[int]]:
    """Module by module: one that gives other vectors than it was given is asked which of them each depends on."""
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    groups: list[list[int]] | None = None
    for name, module in model.named_children():
        if groups is not None and getattr(module, "added_tokens", ()):
            features = module(features, task=task)
            groups += [[] for _ in getattr(module, "added_tokens", ())]
            continue
        arguments = _arguments(model, name, module, task)
        if read is not None:
            features, read = read(features), None
            continue
        if "token_embeddings" not in features or not _merges(module, task):
            before = int(features["attention_mask"].sum())
            known = "token_embeddings" not in features or (groups is None and isinstance(module, MultiVectorMask))
            features = module(features, **arguments)
            if not known and int(features["attention_mask"].sum()) != before:
                raise UnsupportedError(_unknown(module))
            continue
        groups = _one_each(features) if groups is None else groups
        features, sources = _sources(module, features, arguments)
        groups = [sorted(place for source in row for place in groups[source]) for row in sources]
    return _one_each(features) if groups is None else groups


def _merges(module: Any, task: str) -> bool:
    from sentence_transformers.multi_vector_encoder.modules.token_pooling import BaseTokenPooling

    return isinstance(module, BaseTokenPooling) and module.applies_to(task)


def _sources(
    module: Any, features: dict[str, Any], arguments: dict[str, str]
) -> tuple[dict[str, Any], list[list[int]]]:
    """A module's output, and for each of its vectors the given vectors that it depends on: where its gradient is."""
    import torch

    mask = features["attention_mask"][0].bool()
    with torch.enable_grad():
        given = features["token_embeddings"].detach().float().clone().requires_grad_()
        output = module(
            {**features, "token_embeddings": given, "attention_mask": features["attention_mask"]}, **arguments
        )
        vectors = output["token_embeddings"][0][output["attention_mask"][0].bool()]
        if not vectors.requires_grad:
            raise UnsupportedError(_unknown(module))
        probe = torch.linspace(
            1, 2, vectors.shape[1], device=vectors.device
        )  # no multiple of a vector, by chance apart
        depends = torch.cat([_dependence(part @ probe, given) for part in vectors.split(ROWS_AT_ONCE)])[:, mask]
    sources = [row.nonzero()[:, 0].tolist() for row in depends.cpu()]
    if not all(sources):
        raise UnsupportedError(_unknown(module))
    plain = {key: value.detach() if isinstance(value, torch.Tensor) else value for key, value in output.items()}
    return plain, sources


def _dependence(values: Tensor, given: Tensor) -> Tensor:
    """Bool [rows, positions]: whether each of `values` [rows] changes with the vector at a position."""
    import torch

    rows = torch.eye(len(values), device=values.device)
    (gradient,) = torch.autograd.grad(values, given, rows, retain_graph=True, is_grads_batched=True)
    return gradient[:, 0].abs().amax(dim=2) > 0


def _unknown(module: Any) -> str:
    return (
        f"{type(module).__name__} among the modules of this model does not tell which tokens it merges, so its vectors "
        "cannot be explained: load the model without it, or compare scores alone."
    )
