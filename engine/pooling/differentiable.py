"""Pooling for training: the groups that an index would make, and their means with gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.embeddings import TokenEmbeddings
from engine.pooling import Method, link
from engine.pooling.linkage import Linkage

if TYPE_CHECKING:
    from torch import Tensor


def pool_ragged(
    values: Tensor,
    offsets: Tensor,
    factor: float,
    protected: int = 1,
    normalize: bool = True,
    linkage: Linkage | None = None,
    added: int = 0,
) -> tuple[Tensor, Tensor]:
    """Merge token vectors as `engine.pool` does, with the gradient of the means; which tokens merge has none.

    Args:
        values: Document vectors [tokens, dim], float32 or float64, on any device.
        offsets: int64 [n + 1] on the CPU.
        factor: Tokens per remaining token, 1 or more; 1 gives back what came.
        protected: How many first tokens of a document stay as they are.
        normalize: Scale the means to length 1, as an index does unless told otherwise.
        linkage: From `link_ragged` on these vectors, where several factors are cut from one; what it leaves be holds.
        added: How many last vectors of a document stay as they are, since they stand for no token of its text.

    Returns:
        The pooled vectors [groups, dim], in the order of each group's first token, and their offsets, int64 [n + 1].

    Raises:
        InputError: a factor below 1, or a vector that is not finite.
    """
    import torch
    from torch.nn import functional

    if factor == 1:
        return values, offsets
    found = link_ragged(values, offsets, protected, added=added) if linkage is None else linkage
    owners, starts = found.groups(factor)
    groups = torch.from_numpy(owners).to(values.device)
    sums = values.new_zeros(int(starts[-1]), values.shape[1]).index_add(0, groups, values)
    means = sums / torch.bincount(groups, minlength=len(sums)).to(sums)[:, None]
    return functional.normalize(means, dim=1, eps=1e-12) if normalize else means, torch.from_numpy(starts)


def link_ragged(
    values: Tensor, offsets: Tensor, protected: int = 1, method: Method = "hierarchical", added: int = 0
) -> Linkage:
    """Find out once which tokens merge in which order, on vectors that are detached; see `engine.pooling.link`.

    Args:
        values: Document vectors [tokens, dim].
        offsets: int64 [n + 1].
        protected: How many first tokens of a document stay as they are.
        method: "hierarchical" or "sequential".
        added: See `pool_ragged`.

    Returns:
        The linkage.

    Raises:
        InputError: a vector that is not finite, or what `link` refuses.
    """
    documents = TokenEmbeddings(values.detach().float().cpu().numpy(), offsets.cpu().numpy(), added=added)
    return link(documents, method, protected)
