"""What identifies a model's vectors: a hash over everything that changes one, and nothing that does not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers.base.model import BaseModel
    from torch import Tensor, nn

FORMAT = "late-interaction model, 2"  # a new number makes every earlier fingerprint another model's
LIBRARIES = ("sentence_transformers", "transformers")  # a new major version may tokenise or compute differently
# Entries of configurations that say where a model came from or how it is trained, and change no vector.
ORIGIN = frozenset(
    {
        "_name_or_path", "name_or_path", "base_model_name_or_path", "_commit_hash", "transformers_version",
        "sentence_transformers_version", "torch_dtype", "dtype", "architectures", "auto_map", "processor_class",
        "id2label", "label2id", "problem_type", "initializer_range", "use_cache", "gradient_checkpointing", "revision",
        "inference_mode",
    }
)  # fmt: skip


def model_fingerprint(model: BaseModel) -> str:
    """Hash the weights, the tokenizer, the modules with their settings, the prompts and the libraries' major versions.

    Args:
        model: Any model of sentence-transformers, before its weights are rounded.

    Returns:
        16 hex digits; the folder, the device and the number of threads do not enter, nor does the dtype, which
        `Encoder.fingerprint` adds.
    """
    described = {
        "format": FORMAT,
        "libraries": _majors(),
        "modules": [_module(name, module) for name, module in _with_settings(model)],
        "prompts": model.prompts,
        "default_prompt_name": model.default_prompt_name,
        "max_seq_length": model.max_seq_length,
        "weights": _weights(model),
    }
    text = json.dumps(described, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _majors() -> dict[str, str]:
    from importlib import import_module

    return {name: import_module(name).__version__.split(".")[0] for name in LIBRARIES}


def _with_settings(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules of the pipeline and the transformers within, not the layers that share a transformer's config."""
    from transformers import PreTrainedModel

    for name, module in model.named_modules():
        if hasattr(module, "get_config_dict") or isinstance(module, PreTrainedModel):
            yield name, module


def _module(name: str, module: nn.Module) -> dict[str, Any]:
    """A module of the pipeline or of a transformer: its class, its settings, and the tokenizer that it holds."""
    found: dict[str, Any] = {"name": name, "class": type(module).__qualname__}
    found["settings"] = _settings(getattr(module, "get_config_dict", dict)())
    config = getattr(module, "config", None)
    if hasattr(config, "to_dict"):
        found["config"] = _settings(config.to_dict())  # pyright: ignore[reportOptionalMemberAccess]
    adapters = getattr(module, "peft_config", None)
    if isinstance(adapters, Mapping):
        found["adapters"] = {key: _settings(value.to_dict()) for key, value in adapters.items()}
    processor = getattr(module, "processor", None)
    if processor is not None:
        found["processor"] = _processor(processor)
    return found


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without what tells where they came from, at any depth."""
    return {
        str(key): _settings(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if key not in ORIGIN
    }


def _processor(processor: Any) -> dict[str, Any]:
    """A tokenizer, or a processor of several kinds of input with a tokenizer among them."""
    tokenizer = processor if hasattr(processor, "get_vocab") else getattr(processor, "tokenizer", None)
    found: dict[str, Any] = {"class": type(processor).__qualname__}
    if tokenizer is not processor and hasattr(processor, "to_dict"):
        parts = {key: value for key, value in processor.to_dict().items() if key != "tokenizer"}
        found["parts"] = _settings(parts)
    if tokenizer is not None:
        found["tokenizer"] = _tokenizer(tokenizer)
    return found


def _tokenizer(tokenizer: Any) -> dict[str, Any]:
    """How a tokenizer works, whatever length it was last asked to cut or fill to."""
    found = {
        "special": tokenizer.special_tokens_map,
        "sides": [tokenizer.padding_side, tokenizer.truncation_side],
        "inputs": tokenizer.model_input_names,
        "template": getattr(tokenizer, "chat_template", None),
        "split_special_tokens": getattr(tokenizer, "split_special_tokens", None),
    }
    if getattr(tokenizer, "is_fast", False):
        whole = json.loads(tokenizer.backend_tokenizer.to_str())
        return found | {"whole": {key: value for key, value in whole.items() if key not in ("truncation", "padding")}}
    added = {str(number): repr(token) for number, token in tokenizer.added_tokens_decoder.items()}
    own = {key: value for key, value in vars(tokenizer).items() if isinstance(value, (bool, int, float))}
    vocabulary = sorted(tokenizer.get_vocab().items())
    return found | {"added": added, "own": own, "vocabulary": vocabulary, "files": _files(tokenizer)}


def _files(tokenizer: Any) -> list[list[str]]:
    """Hashes of the files that a tokenizer without a serialisation of its own is made from."""
    with TemporaryDirectory() as folder:
        try:
            paths = tokenizer.save_vocabulary(folder) or ()
        except NotImplementedError:  # a tokenizer without files, such as one by characters
            paths = ()
        return sorted([Path(path).name, hashlib.sha256(Path(path).read_bytes()).hexdigest()] for path in paths if path)


def _weights(model: nn.Module) -> list[tuple[str, tuple[int, ...], str, str]]:
    """Name, shape, dtype and hash of every weight; hashing holds no GIL, so several go at once."""
    from engine.simd import threads

    state = [(name, value) for name, value in sorted(model.state_dict().items()) if hasattr(value, "detach")]
    with ThreadPoolExecutor(threads.thread_count()) as pool:
        hashes = list(pool.map(lambda item: _bytes(item[1]), state))
    return [(name, tuple(value.shape), str(value.dtype), found)
            for (name, value), found in zip(state, hashes, strict=True)]  # fmt: skip


def _bytes(value: Tensor) -> str:
    import torch

    flat = value.detach().to("cpu").contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().data if flat.numel() else b"").hexdigest()


def _plain(value: Any) -> Any:
    """What JSON does not know, as something that depends on its value and not on where it lies in memory."""
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if hasattr(value, "to_dict"):
        return _settings(value.to_dict())
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    text = str(value)
    return type(value).__qualname__ if " at 0x" in text else text
