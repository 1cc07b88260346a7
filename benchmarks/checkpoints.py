"""The checkpoints that people use, by their layout and configuration, with random weights made here.

Nothing is downloaded: each folder has the files, the names of tensors and the settings of the published model, and
weights drawn at random. By default the hidden sizes are small; `full=True` takes those of the published configuration.
Tests and `benchmarks.bench_checkpoints` run them through everything.
"""

from __future__ import annotations

import itertools
import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

TEXTS = [
    "the harbour lights were seen from a small boat before the storm",
    "she keeps seven clocks and none of them agrees with another",
    "bread rises slowly in a cold kitchen, and that is no mistake",
    "a map of rivers, bridges and ferries; unfolded on the table",
    "nobody counted the steps of the tower twice: café naïve résumé",
]
VOCABULARY = 400  # tokens that a tokenizer learns
ROWS = 512  # vectors that a small backbone has for them
MARKERS = ("[Q] ", "[D] ")


@dataclass(frozen=True)
class Shape:
    """A published checkpoint.

    Args:
        name: What the tests and the table call it.
        model: Its name on the hub.
        layout: "stanford" (HF_ColBERT and artifact.metadata), "pylate" (modules.json of PyLate).
        backbone: The model type of transformers.
        tokenizer: "wordpiece", "bytes" or "unigram".
        config: Its configuration, of the published model.
        dim: Of a token vector.
        hidden: Widths of the layers between the backbone and the vector; none is one projection.
        query_length: Tokens of a query.
        document_length: Tokens of a document.
        expansion: Whether queries are filled up with mask tokens.
        remote: Whether the configuration names code of its own.
    """

    name: str
    model: str
    layout: str
    backbone: str
    tokenizer: str
    config: Mapping[str, Any] = field(default_factory=dict)
    dim: int = 128
    hidden: tuple[int, ...] = ()
    query_length: int = 32
    document_length: int = 300
    expansion: bool = True
    remote: bool = False


BERT_BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
             "vocab_size": 30522}  # fmt: skip
MODERN_BASE = {"hidden_size": 768, "num_hidden_layers": 22, "num_attention_heads": 12, "intermediate_size": 1152,
               "vocab_size": 50370, "max_position_embeddings": 8192}  # fmt: skip
SHAPES = (
    Shape("colbertv2", "colbert-ir/colbertv2.0", "stanford", "bert", "wordpiece", BERT_BASE, document_length=180),
    Shape("answerai-small", "answerdotai/answerai-colbert-small-v1", "stanford", "bert", "wordpiece",
          {**BERT_BASE, "hidden_size": 384, "intermediate_size": 1536}, dim=96),
    Shape("gte-modern", "lightonai/GTE-ModernColBERT-v1", "pylate", "modernbert", "bytes", MODERN_BASE),
    Shape("reason-modern", "lightonai/Reason-ModernColBERT", "pylate", "modernbert", "bytes", MODERN_BASE,
          query_length=128, document_length=8192),
    Shape("mxbai-edge", "mixedbread-ai/mxbai-edge-colbert-v0-32m", "pylate", "modernbert", "bytes",
          {**MODERN_BASE, "hidden_size": 384, "num_hidden_layers": 10, "num_attention_heads": 6,
           "intermediate_size": 576}, dim=64, hidden=(768,), query_length=48, document_length=512, expansion=False),
    Shape("lateon", "lightonai/LateOn", "pylate", "modernbert", "bytes", MODERN_BASE, hidden=(1536,)),
    Shape("xlm-r", "multilingual XLM-R", "pylate", "xlm-roberta", "unigram",
          {**BERT_BASE, "vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1}),
    Shape("jina-v2", "jinaai/jina-colbert-v2", "stanford", "xlm-roberta", "unigram",
          {**BERT_BASE, "vocab_size": 250002, "max_position_embeddings": 8194, "type_vocab_size": 1},
          document_length=512, remote=True),
    Shape("qwen2", "a decoder such as Qwen2-0.5B", "pylate", "qwen2", "bytes",
          {"hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
           "intermediate_size": 4864, "vocab_size": 151936}, expansion=False),
)  # fmt: skip
SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64,
         "vocab_size": ROWS}  # fmt: skip


def shape(name: str) -> Shape:
    """The checkpoint of a name."""
    return next(entry for entry in SHAPES if entry.name == name)


def make(entry: Shape, folder: Path, full: bool = False) -> Path:
    """Write a checkpoint with random weights, the same for the same sizes.

    Args:
        entry: Which one.
        folder: Where it goes.
        full: Whether its sizes are those of the published model.

    Returns:
        The folder.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(entry)
    torch.manual_seed(7)
    backbone = _backbone(entry, tokenizer, full)
    if not full:
        with torch.no_grad():
            for weight in backbone.parameters():  # wide enough that words differ as they do after training
                weight.mul_(4 if weight.ndim == 2 else 1)
    tokenizer.save_pretrained(folder)
    widths = [backbone.config.hidden_size, *(entry.hidden if full else (48,) * len(entry.hidden)), entry.dim]
    layers = [torch.nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(widths)]
    (_stanford if entry.layout == "stanford" else _pylate)(entry, folder, backbone, layers)
    return folder


def _backbone(entry: Shape, tokenizer: Any, full: bool) -> Any:
    from transformers import AutoConfig, AutoModel

    given = {**entry.config, **({} if full else SMALL)}
    if not full and "num_key_value_heads" in given:
        given["num_key_value_heads"] = 2
    ids = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.cls_token_id,
           "eos_token_id": tokenizer.sep_token_id, "cls_token_id": tokenizer.cls_token_id,
           "sep_token_id": tokenizer.sep_token_id}  # fmt: skip
    config = AutoConfig.for_model(entry.backbone, **given, **ids)
    return AutoModel.from_config(config, attn_implementation="eager").eval()


def _stanford(entry: Shape, folder: Path, backbone: Any, layers: Sequence[Any]) -> None:
    """Files of Stanford's ColBERT: one file of weights with the projection in it, and artifact.metadata."""
    from safetensors.torch import save_file

    prefix = "bert" if entry.backbone == "bert" else "roberta"
    weights = {f"{prefix}.{name}": value.contiguous() for name, value in backbone.state_dict().items()}
    save_file({**weights, "linear.weight": layers[0].weight.detach()}, folder / "model.safetensors", {"format": "pt"})
    config = {**backbone.config.to_dict(), "architectures": ["HF_ColBERT"]}
    if entry.remote:
        config |= {"auto_map": {"AutoConfig": "own_code.OwnConfig", "AutoModel": "own_code.OwnModel"},
                   "model_type": "own-roberta"}  # fmt: skip
        (folder / "own_code.py").write_text(OWN_CODE)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    metadata = {
        "query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_token": "[Q]", "doc_token": "[D]",
        "query_maxlen": entry.query_length, "doc_maxlen": entry.document_length, "mask_punctuation": True,
        "attend_to_mask_tokens": False, "dim": entry.dim, "similarity": "cosine", "checkpoint": entry.model,
    }  # fmt: skip
    if entry.remote:
        metadata |= {"query_token_id": "[QueryMarker]", "doc_token_id": "[DocumentMarker]"}
    (folder / "artifact.metadata").write_text(json.dumps(metadata, indent=1))


def _pylate(entry: Shape, folder: Path, backbone: Any, layers: Sequence[Any]) -> None:
    """Files of PyLate: a transformer in the root, its projections in folders of their own, and what they are."""
    from safetensors.torch import save_file

    backbone.save_pretrained(folder)
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for number, layer in enumerate(layers, start=1):
        place = folder / f"{number}_Dense"
        place.mkdir(exist_ok=True)
        save_file({"linear.weight": layer.weight.detach()}, place / "model.safetensors")
        described = {"in_features": layer.in_features, "out_features": layer.out_features, "bias": False,
                     "activation_function": "torch.nn.modules.linear.Identity"}  # fmt: skip
        (place / "config.json").write_text(json.dumps(described))
        modules.append({"idx": number, "name": str(number), "path": place.name, "type": "pylate.models.Dense.Dense"})
    settings = {
        "prompts": {}, "default_prompt_name": None, "similarity_fn_name": "MaxSim", "query_prefix": MARKERS[0],
        "document_prefix": MARKERS[1], "query_length": entry.query_length, "document_length": entry.document_length,
        "attend_to_expansion_tokens": False, "skiplist_words": list(string.punctuation),
        "do_query_expansion": entry.expansion,
    }  # fmt: skip
    length = {"max_seq_length": entry.document_length - 1, "do_lower_case": False}
    for name, values in (("modules", modules), ("config_sentence_transformers", settings),
                         ("sentence_bert_config", length)):  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps(values, indent=1))


def _tokenizer(entry: Shape) -> Any:
    """A tokenizer of the kind, with the tokens that the layout puts in front of queries and documents."""
    from tokenizers import AddedToken, Tokenizer
    from transformers import PreTrainedTokenizerFast

    marks = _marks(entry.tokenizer)
    made = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(_trained(entry.tokenizer)), **marks,
                                   model_max_length=max(entry.document_length, 512))  # fmt: skip
    if entry.layout == "pylate":
        markers: Any = [AddedToken(mark, lstrip=False, rstrip=False, normalized=False) for mark in MARKERS]
        made.add_tokens(markers)
    elif entry.remote:
        made.add_special_tokens({"additional_special_tokens": ["[QueryMarker]", "[DocumentMarker]"]})
    return made


def _marks(kind: str) -> dict[str, str]:
    if kind == "unigram":
        names = ("<unk>", "<pad>", "<s>", "</s>", "<mask>")
    else:
        names = ("[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]")
    return dict(zip(("unk_token", "pad_token", "cls_token", "sep_token", "mask_token"), names, strict=True))


@cache
def _trained(kind: str) -> str:
    """A tokenizer as BERT's (with the unused tokens that Stanford's markers are), ModernBERT's or XLM-R's."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    marks = _marks(kind)
    special = list(marks.values())
    known: dict[str, Any] = {"vocab_size": VOCABULARY, "show_progress": False}
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token=marks["unk_token"]))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)  # type: ignore[assignment]
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # type: ignore[assignment]
        tokenizer.decoder = decoders.WordPiece()  # type: ignore[assignment]
        trainer: Any = trainers.WordPieceTrainer(special_tokens=[*special, "[unused0]", "[unused1]"], **known)
    elif kind == "bytes":
        tokenizer = Tokenizer(models.BPE(unk_token=marks["unk_token"]))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
        tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet, **known)
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])  # type: ignore[assignment]
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()  # type: ignore[assignment]
        tokenizer.decoder = decoders.Metaspace()  # type: ignore[assignment]
        trainer = trainers.UnigramTrainer(special_tokens=special, unk_token=marks["unk_token"], **known)
    tokenizer.train_from_iterator(TEXTS, trainer)
    start, end = marks["cls_token"], marks["sep_token"]
    ids = [(mark, tokenizer.token_to_id(mark)) for mark in (start, end)]
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single=f"{start} $A {end}", special_tokens=ids
    )
    return tokenizer.to_str()


OWN_CODE = '''"""Code that a checkpoint brings along: an XLM-R under a name that transformers does not know."""

from transformers import XLMRobertaConfig, XLMRobertaModel


class OwnConfig(XLMRobertaConfig):
    model_type = "own-roberta"


class OwnModel(XLMRobertaModel):
    config_class = OwnConfig
'''
