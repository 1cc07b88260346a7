"""Finding and loading a MultiVectorEncoder: registered names, folders, hub names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import nested, plugins
from engine.errors import InputError
from engine.model_files import check_folder, check_tokenizer, explained, watched_weights

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder


def load_model(
    name: str, device: str, model_kwargs: dict[str, Any] | None = None, trust_remote_code: bool = False
) -> tuple[MultiVectorEncoder, str]:
    """Load a late-interaction model.

    Args:
        name: A registered name ("embedded"), a folder, or a name on the Hugging Face hub.
        device: A torch device.
        model_kwargs: Passed to the transformers model, such as `attn_implementation`.
        trust_remote_code: Run the code that a checkpoint brings along.

    Returns:
        The model in evaluation mode, and a sentence on how its token vectors come about.

    Raises:
        NotFoundError: the folder is no model, or the hub name is not cached and cannot be fetched.
        CorruptDataError: files of the model are missing, cut short or altered.
        UnsupportedError: it needs code of its own, or its tokenizer cannot fill short texts up.
    """
    builder = plugins.find(plugins.MODELS, name)
    with quiet_loading():
        if builder is not None:
            model, note = builder(device=device, model_kwargs=model_kwargs)
        else:
            model, note = _load_checkpoint(name, device, model_kwargs, trust_remote_code)
    check_tokenizer(name, model)
    model.eval()
    return model, note


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep the progress bars and reports that transformers prints for every loaded file off the screen."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Load a model quietly; whatever a library says of its files becomes one sentence.

    Args:
        name: A folder or a name on the hub.

    Raises:
        NotFoundError: there is no such model.
        CorruptDataError: its files are damaged.
        InputError: they are no model of this kind.
    """
    try:
        if Path(name).exists():
            check_folder(Path(name))
        with quiet_loading():
            yield
    except Exception as error:  # what libraries raise for files that they cannot use has no common base
        raise explained(name, error) from None


def _load_checkpoint(
    name: str, device: str, model_kwargs: dict[str, Any] | None, trust_remote_code: bool
) -> tuple[MultiVectorEncoder, str]:
    from sentence_transformers import MultiVectorEncoder

    if Path(name).exists():
        check_folder(Path(name))
    try:
        with watched_weights(name):
            if _has_own_projection(name):
                # What is of this project is no code of the checkpoint's own; the library has no public name for that.
                own = MultiVectorEncoder._load_with_module_classes(
                    name, _own_modules(), device=device, model_kwargs=model_kwargs, trust_remote_code=trust_remote_code
                )
                nested.read(own, name)
                return own, "late-interaction checkpoint"
            backbone = backbone_model(name, device, model_kwargs, trust_remote_code)
            return backbone, "backbone without a projection: its own token vectors"
    except Exception as error:  # what libraries raise for files that they cannot use has no common base
        raise explained(name, error) from None


def _own_modules() -> dict[str, Any]:
    """Modules of this project that a model may have, by the names that a folder of sentence-transformers gives them."""
    from engine.late_head import LateHead, Prefix

    return {f"{kind.__module__}.{kind.__qualname__}": kind for kind in (LateHead, Prefix)}


def backbone_model(
    name: str, device: str, model_kwargs: dict[str, Any] | None = None, trust_remote_code: bool = False
) -> MultiVectorEncoder:
    """A plain transformer as a late-interaction model: its token vectors, normalised, with no random projection.

    Args:
        name: Folder or hub name of a transformer or a single-vector sentence-transformers model.
        device: A torch device.
        model_kwargs: Passed to the transformers model.
        trust_remote_code: Run the code that a checkpoint brings along.

    Returns:
        The model.
    """
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    trust: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    transformer = Transformer(
        name,
        model_kwargs=trust | (model_kwargs or {}),
        processor_kwargs=trust,
        config_kwargs=trust,
        max_seq_length=_own_length(name),
    )
    modules = [transformer, MultiVectorMask(), Normalize(module_input_name="token_embeddings")]
    return MultiVectorEncoder(modules=modules, device=device)


def _own_length(name: str) -> int | None:
    """The length that a single-vector sentence-transformers model was made for, which its tokenizer may not know."""
    from sentence_transformers.util import load_file_path

    path = load_file_path(name, "sentence_bert_config.json")
    return json.loads(Path(path).read_text()).get("max_seq_length") if path else None


def _has_own_projection(name: str) -> bool:
    """Whether a checkpoint is a late-interaction model, rather than a backbone or a single-vector model."""
    from sentence_transformers.util import load_file_path

    config_path = load_file_path(name, "config.json")
    architectures = json.loads(Path(config_path).read_text()).get("architectures") or [] if config_path else []
    if any(kind == "HF_ColBERT" or kind.endswith("ForRetrieval") for kind in architectures):
        return True
    modules_path = load_file_path(name, "modules.json")
    if modules_path is None:
        return False
    return not any(module["type"].endswith("Pooling") and "Token" not in module["type"]
                   for module in json.loads(Path(modules_path).read_text()))  # fmt: skip


def resolve_device(device: str) -> str:
    """Resolve a device name: "auto" becomes "cuda", "mps" or "cpu", whichever is there first; anything else is checked.

    Raises:
        InputError: the device does not exist here.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"Device {device!r} cannot be used here ({reason}): choose auto or cpu.") from None
    return device
