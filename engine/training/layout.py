"""One folder that both sentence-transformers and PyLate load, with the same vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.files import replace_text

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

ORDER = ["Transformer", "Dense", "MultiVectorMask", "Normalize"]


def use_shared_layout(model: MultiVectorEncoder, folder: str | Path) -> bool:
    """Bring a saved model into PyLate's layout, which sentence-transformers reads as well, where it can express it.

    PyLate knows a backbone and one projection without a bias; masks, lengths, prefixes and query expansion are its
    settings. A model with anything else keeps the layout of sentence-transformers, which PyLate cannot read.

    Args:
        model: The model as it was saved there.
        folder: Where it was saved; its configuration files are replaced.

    Returns:
        Whether the layout is PyLate's now.
    """
    path = Path(folder)
    modules: list[Any] = list(model.children())
    if [type(module).__name__ for module in modules] != ORDER:
        return False
    backbone, dense, mask, _ = modules
    expansion = getattr(backbone, "query_expansion", None)
    settings = _settings(model, backbone, mask, expansion)
    if settings is None:
        return False
    stored = json.loads((path / "config_sentence_transformers.json").read_text())
    folder_of_dense = next(entry["path"] for entry in json.loads((path / "modules.json").read_text()) if entry["idx"])
    config = dense.get_config_dict()
    kept = ("in_features", "out_features", "bias", "activation_function")
    _write(path / folder_of_dense / "config.json", {name: config[name] for name in kept} | {"use_residual": False})
    _write(path / "sentence_bert_config.json", {"max_seq_length": model.max_seq_length, "do_lower_case": False})
    _write(
        path / "config_sentence_transformers.json",
        {**stored, "model_type": "ColBERT", "similarity_fn_name": "MaxSim", **settings},
    )
    entries = [("", "sentence_transformers.models.Transformer"), (folder_of_dense, "pylate.models.Dense.Dense")]
    _write(
        path / "modules.json",
        [{"idx": i, "name": str(i), "path": where, "type": kind} for i, (where, kind) in enumerate(entries)],
    )
    return True


def _settings(model: MultiVectorEncoder, backbone: Any, mask: Any, expansion: Any) -> dict[str, Any] | None:
    """PyLate's names for what a model does, or None where it has none."""
    prompts = {name: model.prompts.get(name) or "" for name in ("query", "document")}
    vocabulary = {} if model.tokenizer is None else model.tokenizer.get_vocab()
    fixed = expansion is None or expansion["strategy"] == "fixed"
    plain = mask.keep_only_token_ids is None and list(mask.skiplist_tasks) == ["document"]
    if not fixed or not plain or any(prompt and prompt not in vocabulary for prompt in prompts.values()):
        return None  # PyLate inserts a prefix as one token, which ours need not be
    length = backbone.query_length or model.max_seq_length
    return {
        "prompts": {"query": "", "document": ""},
        "query_prefix": prompts["query"],
        "document_prefix": prompts["document"],
        "query_length": length if expansion is None else expansion["length"],
        "document_length": backbone.document_length or model.max_seq_length,
        "do_query_expansion": expansion is not None,
        "attend_to_expansion_tokens": bool(expansion and expansion["attend"]),
        "skiplist_words": list(mask.skiplist_words),
    }


def _write(path: Path, value: Any) -> None:
    replace_text(path, json.dumps(value, indent=1) + "\n")
