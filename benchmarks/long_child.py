"""What bench_long measures in processes of their own: seconds, and the peak of memory above the loaded model."""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

LENGTHS = (10, 128, 512, 2048, 8192, 32768)
WORDS = (
    "the", "harbour", "lights", "were", "seen", "from", "a", "small", "boat", "before", "storm", "while", "seven",
    "clocks", "told", "other", "hours",
)  # fmt: skip


def model_folder(folder: Path) -> Path:
    """A ModernBERT of random weights, 384 wide and 8 layers deep, with a tokenizer of whole words, in a folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import ModernBertConfig, ModernBertModel, PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(WORDS)]
    tokenizer = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=64, hidden_size=384, intermediate_size=576, num_hidden_layers=8, num_attention_heads=6,
        max_position_embeddings=LENGTHS[-1], pad_token_id=0, cls_token_id=2, sep_token_id=3, bos_token_id=2,
        eos_token_id=3,
    )  # fmt: skip
    made = folder / "modernbert"
    ModernBertModel(config).save_pretrained(made)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LENGTHS[-1], pad_token="[PAD]", unk_token="[UNK]",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
    ).save_pretrained(made)  # fmt: skip
    return made


def text_of(tokens: int, number: int) -> str:
    """A text of so many words, another one for each number."""
    return " ".join(WORDS[(number * 7 + place * (1 + number % 3)) % len(WORDS)] for place in range(tokens))


def peak() -> int:
    """Most resident memory of this process so far, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(work: Callable[[], Any], warm: Callable[[], Any]) -> dict[str, float]:
    """Seconds of some work, after a first time with little, and megabytes that it takes above what is there."""
    import psutil

    warm()
    before = psutil.Process().memory_info().rss
    start, used = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - used,
        "peak_mb": (peak() - before) / 1e6,
    }


def of_length(folder: str, who: str, length: int, threads: int, tokens: int) -> dict[str, Any]:
    """Encode documents of one length, some `tokens` in all."""
    os.environ["WORKBENCH_THREADS"] = str(threads)
    import torch

    from engine import Encoder
    from engine.models import backbone_model

    torch.set_num_threads(threads)
    texts = [text_of(length - 2, number) for number in range(max(1, tokens // length))]
    if who == "ours":
        encode: Any = Encoder(backbone_model(folder, "cpu").eval()).encode_document
    else:
        model = backbone_model(folder, "cpu").eval()
        encode = partial(model.encode_document, batch_size=max(1, min(32, 8192 // length)))

    found = measured(lambda: encode(texts), lambda: encode([text_of(8, 0)]))
    return {**found, "us_a_token": found["seconds"] / (len(texts) * length) * 1e6, "documents": len(texts)}


def in_windows(way: str, size: str, documents: int, tokens: int) -> dict[str, Any]:
    """Encode long documents in windows; the same windows as documents; or the same texts as short documents."""
    from engine import Encoder
    from engine.model_names import Windows
    from engine.windows import cut_windows

    chosen = Windows.parse(size)
    words = [text_of(tokens, number).split() for number in range(documents)]
    room = chosen.size - 2
    if way == "windows":
        encoder, texts = Encoder.load("embedded", windows=chosen), [" ".join(part) for part in words]
    else:
        encoder = Encoder.load("embedded", document_length=chosen.size)
        cuts = cut_windows(tokens, room, chosen.overlap if way == "apart" else 0)
        texts = [" ".join(part[cut.start : cut.stop]) for part in words for cut in cuts]
    found = measured(lambda: encoder.encode_document(texts), lambda: encoder.encode_document(texts[:1]))
    return {**found, "texts": len(texts)}


def explaining(tokens: int) -> dict[str, Any]:
    """What the page answers for one long document of a collection that is encoded and indexed."""
    import orjson

    from apps.pages.search import SearchFunctions
    from apps.workspaces import Workspaces
    from engine import Collection
    from workbench.workspace import open_workspace

    documents = {f"long {number}": text_of(tokens - 12, number) for number in range(3)}
    documents["told"] = text_of(tokens - 12, 5) + " bread needs flour water salt and a night to rise"
    workspace = open_workspace(Collection(documents, name="long"), "embedded?windows=256:32", "exact")
    functions, question = SearchFunctions(Workspaces(workspace)), "how long does bread need to rise"
    functions.search({"question": "harbour", "document": "long 0"})  # everything is loaded and compiled
    workspace._document_tokens.cache_clear()  # but nothing is known of the document
    start = time.perf_counter()
    answer = functions.explain({"question": question, "document": "told"})
    first = time.perf_counter() - start
    start = time.perf_counter()
    functions.explain({"question": question, "document": "told", "passage": "3"})
    return {"first_ms": first * 1e3, "next_ms": (time.perf_counter() - start) * 1e3,
            "kilobytes": len(orjson.dumps(answer)) / 1e3}  # fmt: skip


def main() -> None:
    """Measure one thing and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("length", "windows", "explain"))
    parser.add_argument("options", nargs="*")
    asked = parser.parse_args()
    if asked.what == "length":
        folder, who, *numbers = asked.options
        found = of_length(folder, who, *map(int, numbers))
    elif asked.what == "windows":
        way, size, *numbers = asked.options
        found = in_windows(way, size, *map(int, numbers))
    else:
        found = explaining(int(asked.options[0]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
