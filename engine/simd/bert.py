"""One text through all layers of a BERT in one compiled call, its products in integers or in float32.

What a library does for a question of fifteen tokens is some four hundred calls of a few microseconds of work each.
Here nothing lies between the products but vector code, and nothing is padded but to whole registers, so the vectors of
a text depend neither on the texts beside it nor on the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.simd.jit import kernel
from engine.simd.layers import HIDDEN, dense, gelu, normalise, product, softmax
from engine.simd.linear import encode_row, multiply


class Bert(NamedTuple):
    """What a BERT computes with.

    Args:
        words: float32 [vocabulary * width], vectors of the token ids.
        positions: float32 [positions * width].
        kinds: float32 [token types * width].
        panels: int8, the weights of each layer from `linear.weight_panels`: query, key and value as one; after
            attention; up; down. Nothing where products are in float32.
        terms: float32, the scales, sums and biases of each of these.
        addresses: int64 [12 * layers], where weights, float32 [features, inputs], and biases begin: query, key, value,
            after attention, up, down. Nothing where products are in integers.
        norms: float32 [(1 + 2 * layers) * 2 * width], gain and shift: of the words, then after attention and at the end
            of each layer.
    """

    words: np.ndarray
    positions: np.ndarray
    kinds: np.ndarray
    panels: np.ndarray
    terms: np.ndarray
    addresses: np.ndarray
    norms: np.ndarray


class Shape(NamedTuple):
    """Sizes of a BERT: its layers, width, heads, the width within a layer, and what is added to variances."""

    layers: int
    width: int
    heads: int
    inner: int
    epsilon: float


@kernel
def linear_layer(values, rows, layer, part, bert, shape, codes, ranges, out):
    """A linear layer of a BERT: part 0 is query, key and value beside each other, 1 after attention, 2 up, 3 down."""
    width, inner = shape.width, shape.inner
    at, term = layer * (4 * width + 2 * inner) * width, layer * (15 * width + 3 * inner)
    depth, columns, matrices, first = width, 3 * width, 3, 0
    if part > 0:
        at, term, columns, matrices, first = at + 3 * width * width, term + 9 * width, width, 1, part + 2
    if part > 1:
        at, term, columns = at + width * width, term + 3 * width, inner
    if part > 2:
        at, term, columns, depth = at + inner * width, term + 3 * inner, width, inner
    if len(bert.addresses):
        for k in range(matrices):
            place, features = 12 * layer + 2 * (first + k), columns // matrices
            weights, biases = bert.addresses[place], bert.addresses[place + 1]
            dense(values, rows, depth, weights, biases, features, out, k * features, columns)
        return
    for row in range(rows):
        encode_row(values, row * depth, depth, codes, row * depth, ranges, row)
    multiply(codes, rows, depth // 4, bert.panels[at:], bert.terms[term:], columns, ranges, out, 0)


@kernel
def attend(qkv, tokens, lanes, width, heads, hidden, keys, shares, out):
    """Attention of one text: out[tokens * width] of qkv[tokens * 3 * width], query, key and value in a row."""
    each_head, padded = width // heads, -(-tokens // lanes) * lanes
    for head in range(heads):
        at = head * each_head
        for k in range(tokens):
            for d in range(each_head):
                keys[d * padded + k] = qkv[k * 3 * width + width + at + d]
        product(qkv, at, 3 * width, tokens, keys, 0, padded, each_head, padded, shares, 0, padded)
        for row in range(tokens):
            softmax(shares, row * padded, padded, each_head**-0.5, hidden)
        product(shares, 0, padded, tokens, qkv, 2 * width + at, 3 * width, tokens, each_head, out, at, width)


@kernel
def read_text(ids, kinds, mask, rows, lanes, bert, shape, out):
    """The vectors of one text's tokens.

    Args:
        ids: int64 [tokens], token ids.
        kinds: int64 [tokens], token types.
        mask: int64 [tokens], 0 for tokens that nobody looks at.
        rows: Tokens and what is computed beside them, so that products come in whole blocks.
        lanes: Of the level.
        bert: A `Bert`.
        shape: Its `Shape`.
        out: float32 [rows * width], written; zeros behind the tokens.
    """
    tokens, width, inner = len(ids), shape.width, shape.inner
    padded = -(-tokens // lanes) * lanes
    codes, ranges = np.empty(rows * max(width, inner), np.uint8), np.empty(2 * rows, np.float32)
    qkv, turned = np.empty(rows * 3 * width, np.float32), np.empty(rows * width, np.float32)
    other = np.zeros(rows * width, np.float32)
    middle, around = np.empty(rows * inner, np.float32), np.empty(width, np.float32)
    keys, shares = np.zeros((width // shape.heads) * padded, np.float32), np.empty(tokens * padded, np.float32)
    hidden = np.full(padded, np.float32(HIDDEN))
    for token in range(tokens):
        if mask[token]:
            hidden[token] = 0.0
        for c in range(width):
            out[token * width + c] = bert.words[ids[token] * width + c] + bert.kinds[kinds[token] * width + c]
            around[c] = bert.positions[token * width + c]
        normalise(out, token * width, around, 0, bert.norms, 0, width, shape.epsilon)
    for layer in range(shape.layers):
        norm = (2 + 4 * layer) * width
        linear_layer(out, rows, layer, 0, bert, shape, codes, ranges, qkv)
        attend(qkv, tokens, lanes, width, shape.heads, hidden, keys, shares, other)
        linear_layer(other, rows, layer, 1, bert, shape, codes, ranges, turned)
        for token in range(tokens):
            normalise(out, token * width, turned, token * width, bert.norms, norm, width, shape.epsilon)
        linear_layer(out, rows, layer, 2, bert, shape, codes, ranges, middle)
        gelu(middle, rows * inner)
        linear_layer(middle, rows, layer, 3, bert, shape, codes, ranges, turned)
        for token in range(tokens):
            normalise(out, token * width, turned, token * width, bert.norms, norm + 2 * width, width, shape.epsilon)
