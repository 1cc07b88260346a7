"""A model as a browser takes it: a graph without its weights, the weights as codes, and a tokenizer in plain JSON."""

from __future__ import annotations

import gzip
import json
import logging
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apps.publish.codec import Codes, pack
from engine import Encoder
from engine.errors import UnsupportedError, missing_extra
from engine.training.export import export_onnx

STEPS = (150, 300, 600)  # of one standard deviation of a weight: the first that is near enough is taken
TABLE_SHARE = 4  # a table of word vectors takes steps that are so much coarser: one row alone enters a sum
NEAR = 0.9995  # cosine of every vector with that of Python's float32
SMALL = 4096  # numbers of a tensor up to which it stays in the graph as it is
EXTERNAL = "weights.bin"
CHECKED = 64  # texts

Files = dict[str, bytes]


@dataclass(frozen=True)
class BrowserModel:
    """What a site holds of a model.

    Args:
        files: Name -> content.
        about: For the browser: tensors, tokenizer, tasks.
        cosine: The least cosine of its vectors to Python's float32 over the texts that were compared.
    """

    files: Files
    about: dict[str, Any]
    cosine: float


def browser_model(encoder: Encoder, texts: Sequence[str]) -> BrowserModel:
    """Export a model for the browser and hold it to what Python computes.

    Args:
        encoder: In float32.
        texts: Questions that it is compared on; the first 64.

    Returns:
        The model.

    Raises:
        UnsupportedError: a tokenizer that is no WordPiece, or a model that torch cannot export.
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    tokenizer = browser_tokenizer(encoder)
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise missing_extra(error.name or "onnxruntime", "publish") from None
    with tempfile.TemporaryDirectory(prefix="publish-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's remarks on how it traces
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        graph = onnx.load(str(export_onnx(encoder, Path(folder) / "model.onnx", "both")))
        wanted = [text for text in texts[:CHECKED] if text.strip()]
        for steps in STEPS:
            skeleton, tensors, weights = _coded(graph, steps, unreachable(tokenizer))
            cosine = _cosine(skeleton, tensors, weights, encoder, wanted, Path(folder))
            if cosine >= NEAR:
                break
        else:
            raise UnsupportedError(
                f"The exported model gives other vectors than Python (cosine {cosine:.4f}): publish with --no-model."
            )
    about = {
        "name": encoder.name, "dim": encoder.dim, "tensors": tensors, "total": int(sum(t["count"] for t in tensors)),
        "external": EXTERNAL, "tokenizer": tokenizer, "tasks": {task: _task(encoder, task) for task in _TASKS},
        "added": _added(encoder), "expands": _expansion(encoder) is not None,
    }  # fmt: skip
    packed = pack(np.concatenate([weight.values.reshape(-1) for weight in weights]))
    files = {"model/graph.onnx.gz": gzip.compress(skeleton, 9, mtime=0), "model/weights.bin.gz": packed}
    return BrowserModel(files, about, cosine)


_TASKS = ("query", "document")


def unreachable(tokenizer: dict[str, Any]) -> np.ndarray:
    """Which words no text is cut into, bool [ids]: [unused5] and such, since a bracket is cut off by itself."""
    return np.array([
        len(name) > 1 and name.startswith("[") and name not in tokenizer["added"] for name in tokenizer["vocabulary"]
    ])  # fmt: skip


def _coded(graph: Any, steps: int, unused: np.ndarray) -> tuple[bytes, list[dict[str, Any]], list[Codes]]:
    """The graph with its large tensors moved out, where each lies in the file of weights, and their codes.

    Rows of a table of word vectors that no text reaches are zero, which packs to nothing.
    """
    import onnx
    from onnx import numpy_helper

    protocol: Any = onnx  # its messages are made at run time, where no type checker sees them
    copy = protocol.ModelProto()
    copy.CopyFrom(graph)
    tables = {node.input[0] for node in copy.graph.node if node.op_type == "Gather"}
    tensors, codes, offset = [], [], 0
    for tensor in copy.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size <= SMALL or values.ndim < 2:
            continue
        if tensor.name in tables and len(values) == len(unused):
            values = np.where(unused[:, None], np.float32(0), values)
        coarser = TABLE_SHARE if tensor.name in tables else 1
        code = Codes.with_step(values, float(values.std()) * coarser / steps)
        entry = {"offset": offset, "from": offset, "count": int(values.size), "step": code.step}
        tensors.append(entry)
        codes.append(code)
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = protocol.TensorProto.EXTERNAL
        for key, value in (("location", EXTERNAL), ("offset", 4 * offset), ("length", 4 * values.size)):
            found = tensor.external_data.add()
            found.key, found.value = key, str(value)
        offset += int(values.size)
    return copy.SerializeToString(), tensors, codes


def _cosine(
    graph: bytes, tensors: list[dict[str, Any]], codes: list[Codes], encoder: Encoder, texts: list[str], folder: Path
) -> float:
    """The least cosine of a question's vectors between the rounded graph and the model itself."""
    import onnxruntime

    np.concatenate([code.vectors.reshape(-1) for code in codes]).tofile(folder / EXTERNAL)
    path = folder / "rounded.onnx"
    path.write_bytes(graph)
    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    least = 1.0
    for text in texts:
        features = encoder.preprocess([text], "query")
        feed = {entry.name: features[entry.name].cpu().numpy().astype(np.int64) for entry in session.get_inputs()}
        vectors, mask = session.run(["token_embeddings", "vector_mask"], feed)
        one, two = np.asarray(vectors)[0][np.asarray(mask)[0] > 0], np.asarray(encoder.encode_query([text])[0])
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
        least = min(least, float(((one * two).sum(axis=1) / np.maximum(lengths, 1e-12)).min()))
    return least


def browser_tokenizer(encoder: Encoder) -> dict[str, Any]:
    """What `browser/tokenizer.js` needs of a model's tokenizer.

    Args:
        encoder: The model.

    Returns:
        JSON values.

    Raises:
        UnsupportedError: it is no WordPiece as BERT has it.
    """
    backend = getattr(encoder.model.tokenizer, "backend_tokenizer", None)
    whole: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {}
    model, normaliser, before = (
        whole.get("model") or {},
        whole.get("normalizer") or {},
        whole.get("pre_tokenizer") or {},
    )
    kinds = (model.get("type"), normaliser.get("type"), before.get("type"))
    if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        found = ", ".join(str(kind) for kind in kinds if kind) or "none that can be read"
        raise UnsupportedError(
            f"Expected a tokenizer that the browser knows (WordPiece as BERT has it), got {found}: publish finished "
            "searches with --no-model."
        )
    added = whole.get("added_tokens") or []
    vocabulary = dict(model["vocab"]) | {entry["content"]: entry["id"] for entry in added}
    names = [""] * (max(vocabulary.values()) + 1)
    for name, position in vocabulary.items():
        names[position] = name
    accents = normaliser.get("strip_accents")
    tokenizer: Any = encoder.model.tokenizer
    whole_ids = tokenizer("")["input_ids"]
    middle = tokenizer("a")["input_ids"]
    ahead = next((i for i, (one, two) in enumerate(zip(whole_ids, middle, strict=False)) if one != two), len(whole_ids))
    return {
        "vocabulary": names, "added": [entry["content"] for entry in added], "unknown": vocabulary[model["unk_token"]],
        "prefix": model["continuing_subword_prefix"], "longest": model["max_input_chars_per_word"],
        "lower": normaliser["lowercase"], "accents": normaliser["lowercase"] if accents is None else accents,
        "clean": normaliser["clean_text"], "chinese": normaliser["handle_chinese_chars"],
        "before": whole_ids[:ahead], "after": whole_ids[ahead:],
    }  # fmt: skip


def _task(encoder: Encoder, task: Any) -> dict[str, Any]:
    return {
        "prompt": encoder.prompt(task), "length": encoder.max_length(task) or 512,
        "expansion": _expansion(encoder) if task == "query" else None,
    }  # fmt: skip


def _expansion(encoder: Encoder) -> dict[str, Any] | None:
    wanted = getattr(encoder.model[0], "query_expansion", None)
    if wanted is None:
        return None
    tokenizer: Any = encoder.model.tokenizer
    token = wanted.get("token") or tokenizer.mask_token
    return {
        "length": wanted["length"], "id": tokenizer.convert_tokens_to_ids(token), "attend": bool(wanted.get("attend")),
    }  # fmt: skip


def _added(encoder: Encoder) -> list[str]:
    from engine.merging import added_tokens

    return added_tokens(encoder.model)
