"""Questions read by a BERT in one compiled call, where a library's layers take most of the time for themselves.

A question has some fifteen tokens: for six layers of 384 features 160 million multiply-adds, a millisecond of one core
in integers, and in float32 the three or four that 42 MB of weights take to arrive. Only texts of a query go this way;
batches of documents are long enough for the layers themselves. Where a model computes in 8 bits so do its questions,
with weights in 8 bits where the processor's products do not saturate and in 7 elsewhere; in every other dtype their
products are in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from sentence_transformers import MultiVectorEncoder

WIDE_LIMIT = 127  # of weights in 8 bits


class ShortTexts:
    """The transformer of a model on a CPU, for short texts.

    Args:
        bert: A BertModel in float32 that `fits`; its weights are not copied, and later ones are not seen.
        integers: Whether products are in integers; see `linear.available`.
    """

    def __init__(self, bert: Any, integers: bool) -> None:
        from engine.quantised_layers import rounded_layers
        from engine.simd.bert import Bert, Shape
        from engine.simd.choice import chosen
        from engine.simd.jit import flat
        from engine.simd.linear import TOKENS, WEIGHT_LIMIT

        level, config = chosen(), bert.config
        self.lanes, self.block = level.lanes, TOKENS if level.lanes == 16 else 2
        self.shape = Shape(config.num_hidden_layers, config.hidden_size, config.num_attention_heads,
                           config.intermediate_size, float(config.layer_norm_eps))  # fmt: skip
        limit = WEIGHT_LIMIT if level.short else WIDE_LIMIT
        self.name = f"int8, weights up to {limit}" if integers else "float32"
        linear, norms, tables = _parts(bert)
        layers = [part for layer in zip(*[iter(linear)] * 6, strict=True) for part in (layer[:3], *zip(layer[3:]))]
        panels, terms = [np.empty(0, np.int8)], [np.empty(0, np.float32)]
        self._read: list[torch.Tensor] = []  # what `addresses` point at
        if integers:
            panels, terms = zip(*(rounded_layers(parts, limit) for parts in layers), strict=True)
        else:
            self._read = [tensor for parts in layers for part in parts for tensor in _tensors(part)]
        self.bert = Bert(
            *(flat(table.weight.detach().numpy()) for table in tables),
            panels=np.concatenate(panels),
            terms=np.concatenate(terms),
            addresses=np.array([tensor.data_ptr() for tensor in self._read], np.int64),
            norms=np.concatenate([tensor.float().numpy() for layer in norms for tensor in _tensors(layer)]),
        )

    def takes(self, features: dict[str, Any]) -> bool:
        """Whether the transformer has vectors and positions for these texts; others it refuses in its own words."""
        ids, width = features.get("input_ids"), self.shape.width
        if ids is None or ids.ndim != 2 or not ids.numel() or features.get("modality", "text") != "text":
            return False
        words, positions, kinds = (len(table) // width for table in self.bert[:3])
        known = "token_type_ids" not in features or 0 <= int(features["token_type_ids"].max()) < kinds
        return known and ids.shape[1] <= positions and int(ids.min()) >= 0 and int(ids.max()) < words

    def read(self, features: dict[str, Any]) -> dict[str, Any]:
        """Put the vectors of each text's tokens into features, as the transformer does.

        Args:
            features: Of `Encoder.preprocess`: ids and mask, int64 [n, tokens], on the CPU.

        Returns:
            The same with `token_embeddings` float32 [n, tokens, width].
        """
        import torch

        from engine.simd import threads
        from engine.simd.bert import read_text

        ids, mask = features["input_ids"].numpy(), features["attention_mask"].to(torch.int64).numpy()
        kinds = features["token_type_ids"].numpy() if "token_type_ids" in features else np.zeros_like(ids)
        rows = -(-ids.shape[1] // self.block) * self.block
        out = np.zeros((len(ids), rows * self.shape.width), np.float32)

        def text(k: int) -> None:
            read_text(ids[k], kinds[k], mask[k], rows, self.lanes, self.bert, self.shape, out[k])

        threads.run_parts(text, len(ids))
        vectors = out.reshape(len(ids), rows, self.shape.width)[:, : ids.shape[1]]
        features["token_embeddings"] = torch.from_numpy(vectors)
        return features


def _parts(bert: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Linear layers (query, key, value, after attention, up, down of each layer), norms and tables of a BERT."""
    words = bert.embeddings
    linear, norms = [], [words.LayerNorm]
    for layer in bert.encoder.layer:
        own, after = layer.attention.self, layer.attention.output
        linear += [own.query, own.key, own.value, after.dense, layer.intermediate.dense, layer.output.dense]
        norms += [after.LayerNorm, layer.output.LayerNorm]
    return linear, norms, [words.word_embeddings, words.position_embeddings, words.token_type_embeddings]


def _tensors(layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and biases of a layer, one row after the other."""
    import torch

    bias = torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias
    return layer.weight.detach().contiguous(), bias.detach().contiguous()


def fits(bert: Any) -> bool:
    """Whether `ShortTexts` computes what a transformer does: a plain BERT in float32, its sizes whole registers."""
    import torch
    from transformers import BertModel

    if type(bert) is not BertModel or bert.config.is_decoder or bert.config.hidden_act != "gelu":
        return False
    if getattr(bert.config, "position_embedding_type", None) not in (None, "absolute"):
        return False
    kinds, config = (torch.nn.Linear, torch.nn.LayerNorm, torch.nn.Embedding), bert.config
    parts = _parts(bert)
    plain = all(type(part) is kind for kind, found in zip(kinds, parts, strict=True) for part in found)
    here = parts[2][0].weight.dtype == torch.float32 and parts[2][0].weight.device.type == "cpu"
    sizes = (config.hidden_size // config.num_attention_heads, config.hidden_size, config.intermediate_size)
    return plain and here and all(size % 16 == 0 for size in sizes)


class QuestionReader:
    """Finds what reads the questions of a model, as the model is at the moment.

    A model in float32 may be trained, merged or given adapters after it was loaded, so each use looks where its weights
    lie and how often they have changed. One whose layers are rounded stays as it is.

    Args:
        model: The model.
    """

    def __init__(self, model: MultiVectorEncoder) -> None:
        self._model = model
        self._rounded: ShortTexts | None = None
        self._found: tuple[tuple[tuple[int, int], ...], ShortTexts] | None = None

    @property
    def name(self) -> str:
        """How questions are computed where that is another way than documents."""
        return "" if self._rounded is None else self._rounded.name

    def rounded(self, dtype: str) -> ShortTexts | None:
        """How questions will be read, made before the layers are rounded and kept by `keep` afterwards.

        Args:
            dtype: What the model will compute in; float32 needs nothing kept.
        """
        bert = self._bert() if dtype in ("bfloat16", "int8") else None
        return None if bert is None else ShortTexts(bert, dtype == "int8")

    def keep(self, rounded: ShortTexts | None) -> None:
        """Read questions so from now on."""
        self._rounded = rounded

    def reader(self) -> ShortTexts | None:
        """What reads questions now; None where the transformer itself does."""
        if self._rounded is not None:
            return self._rounded
        bert = self._bert()
        if bert is None or bert.training:
            return None
        weights = [tensor for parts in _parts(bert) for part in parts for tensor in part.parameters()]
        stamp = tuple((tensor.data_ptr(), tensor._version) for tensor in weights)
        if self._found is None or self._found[0] != stamp:
            self._found = stamp, ShortTexts(bert, False)
        return self._found[1]

    def _bert(self) -> Any:
        """The transformer of the model, if it `fits`."""
        from sentence_transformers.base.modules import Transformer

        from engine.simd.choice import chosen

        first: Any = self._model[0]
        if type(first) is not Transformer or first.module_output_name != "token_embeddings" or not chosen().vectors:
            return None
        method = first.modality_config.get("text", {})
        plain = method.get("method") == "forward" and method.get("method_output_name") == "last_hidden_state"
        return first.model if plain and fits(first.model) else None
