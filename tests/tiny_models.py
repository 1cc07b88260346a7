"""Tiny late-interaction models of random weights with real tokenizers, made here: nothing to download, fast to load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

VOCABULARY, ROWS = 400, 512  # tokens that a tokenizer learns, and vectors that a model has for them
WORDS = [
    "the harbour lights were seen from a small boat before the storm",
    "she keeps seven clocks and none of them agrees with another",
    "bread rises slowly in a cold kitchen, and that is no mistake",
    "a map of rivers, bridges and ferries; unfolded on the table",
    "nobody counted the steps of the tower twice: café naïve résumé",
]
BERT = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
ROBERTA = {"unk_token": "<unk>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}


@cache
def trained(kind: str) -> str:
    """The serialisation of a tokenizer: "wordpiece" as BERT's, "bytes" as RoBERTa's, "unigram" as XLM-R's.

    "fallback" is as Llama's, whose unknown letters become bytes.
    """
    marks = BERT if kind == "wordpiece" else ROBERTA
    special, known = list(marks.values()), {"vocab_size": VOCABULARY, "show_progress": False}
    if kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer: Any = trainers.WordPieceTrainer(special_tokens=special, **known)
    elif kind == "bytes":
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet, **known)
    elif kind == "fallback":
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        special += [f"<0x{number:02X}>" for number in range(256)]
        trainer = trainers.BpeTrainer(special_tokens=special, **known)
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(special_tokens=special, unk_token="<unk>", **known)
    tokenizer.train_from_iterator(WORDS, trainer)
    start, end = marks["cls_token"], marks["sep_token"]
    ids = [(mark, tokenizer.token_to_id(mark)) for mark in (start, end)]
    around = processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=ids)
    trimmed = [processors.ByteLevel(trim_offsets=True)] if kind == "bytes" else []
    tokenizer.post_processor = processors.Sequence([*trimmed, around])
    return tokenizer.to_str()


def tokenizer_of(kind: str, whole: Mapping[str, Any] | None = None, **marks: str | None) -> PreTrainedTokenizerFast:
    """A tokenizer as transformers loads it.

    Args:
        kind: See `trained`.
        whole: A changed serialisation to use instead, as JSON values.
        marks: Special tokens that differ; None for one that the tokenizer does not have.
    """
    import json

    made = Tokenizer.from_str(json.dumps(whole) if whole else trained(kind))
    names = {**(BERT if kind == "wordpiece" else ROBERTA), **marks}
    return PreTrainedTokenizerFast(
        tokenizer_object=made, model_max_length=64, **{name: token for name, token in names.items() if token}
    )


def save_backbone(folder: Path, tokenizer: Any, **config: Any) -> Path:
    """A BERT of random weights, the same for the same sizes, with a tokenizer beside it."""
    torch.manual_seed(7)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    made = BertModel(BertConfig(**{"vocab_size": ROWS, "max_position_embeddings": 80, **sizes, **config}))
    with torch.no_grad():
        for weight in made.parameters():  # wide enough that words differ as they do after training
            weight.mul_(4 if weight.ndim == 2 else 1)
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_model(
    folder: Path,
    kind: str = "wordpiece",
    tokenizer: Any = None,
    skiplist: Sequence[str] = (),
    extra: Sequence[torch.nn.Module] = (),
    prompts: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    **settings: Any,
) -> MultiVectorEncoder:
    """A late-interaction model of 16 dimensions.

    Args:
        folder: Where its backbone goes.
        kind: Of tokenizer.
        tokenizer: Another one.
        skiplist: Tokens that do not count in documents.
        extra: Modules after the usual ones.
        prompts: In front of queries and documents.
        config: Of the backbone, where it differs.
        settings: Of the transformer module: lengths and query expansion.
    """
    save_backbone(folder, tokenizer or tokenizer_of(kind), **(config or {}))
    torch.manual_seed(11)
    head = Dense(32, 16, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
    modules = [
        Transformer(str(folder), **settings),
        head,
        MultiVectorMask(skiplist_words=list(skiplist)),
        Normalize(module_input_name="token_embeddings"),
        *extra,
    ]
    return MultiVectorEncoder(modules=modules, prompts=dict(prompts or {}), device="cpu").eval()
