"""What a model's files must hold before and after it is loaded, and what a failure to load them means."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import plugins
from engine.errors import CorruptDataError, NotFoundError, UnsupportedError, WorkbenchError

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

PART = re.compile(r"\d+_[A-Z]\w*")  # how sentence-transformers names the folders of its modules
TOKENIZER_FILES = ("tokenizer.json", "vocab*", "merges.txt", "*.model", "*.tiktoken", "*.spm", "tokenizer.*")
WITHOUT_FILES = ("ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer")  # they read bytes or code points
OWN_CODE = ("trust_remote_code", "custom code", "remote code")
KNOWN_MODULES = ("sentence_transformers.", "pylate.", "torch.", "engine.late_head.")
DAMAGE = ("SafetensorError", "UnpicklingError", "EOFError", "JSONDecodeError", "UnicodeDecodeError", "BadZipFile")
MISFIT = ("size mismatch", "PytorchStreamReader", "corrupt", "unexpected keys", "Missing key")


def check_folder(folder: Path) -> None:
    """Raise unless a folder holds what a model needs, where a library would load another model without a word.

    Args:
        folder: Given as a model.

    Raises:
        NotFoundError: it is no model.
        CorruptDataError: a file is missing or cannot be read.
    """
    modules = folder / "modules.json"
    if not folder.is_dir() or not ((folder / "config.json").exists() or modules.exists()):
        raise NotFoundError(f"{folder} is no model folder, it has no config.json or modules.json: give another.")
    parts = sorted(path.name for path in folder.iterdir() if path.is_dir() and PART.fullmatch(path.name))
    if not modules.exists() and (parts or (folder / "config_sentence_transformers.json").exists()):
        held = parts[0] if parts else "config_sentence_transformers.json"
        raise CorruptDataError(
            f"{folder} has {held} and no modules.json, so it would be loaded as another model: copy the whole folder."
        )
    listed = _read(modules) if modules.exists() else [{"path": "", "type": ""}]
    if not isinstance(listed, list) or not listed or not all(isinstance(module, dict) for module in listed):
        raise CorruptDataError(f"{modules} is no list of modules: copy the whole folder again.")
    _check_backbone(folder / str(listed[0].get("path", "")))


def _check_backbone(folder: Path) -> None:
    """The folder of the transformer: its configuration is an object, and a tokenizer lies beside it."""
    config = _read(folder / "config.json") if (folder / "config.json").exists() else {}
    if not isinstance(config, dict):
        raise CorruptDataError(f"{folder / 'config.json'} is no JSON object: copy the whole folder again.")
    named = _read(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").exists() else {}
    if isinstance(named, dict) and named.get("tokenizer_class") in WITHOUT_FILES:
        return
    found = any(path.name != "tokenizer_config.json" for kind in TOKENIZER_FILES for path in folder.glob(kind))
    if config.get("model_type") and not found:
        raise CorruptDataError(f"{folder} has no tokenizer.json, nor another tokenizer's files: copy the whole folder.")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CorruptDataError(f"{path} cannot be read ({reason}): copy the file again.") from None


def check_tokenizer(name: str, model: MultiVectorEncoder) -> None:
    """Raise unless a model's tokenizer can be used; one without a padding token gets another of its special tokens.

    Which one is of no consequence: padding is masked.

    Args:
        name: What the sentence calls the model.
        model: As it was loaded.

    Raises:
        CorruptDataError: it knows no words.
        UnsupportedError: it has no special token to fill short texts up with.
    """
    tokenizer: Any = model.tokenizer
    if tokenizer is None:
        return
    words = len(tokenizer.get_vocab()) - len(set(tokenizer.all_special_tokens))
    if words <= 0:
        raise CorruptDataError(f"The tokenizer of {name!r} knows no words: its vocabulary is missing, copy the folder.")
    if tokenizer.pad_token is None:
        fillers = [getattr(tokenizer, f"{kind}_token", None) for kind in ("eos", "sep", "unk", "bos", "cls", "mask")]
        filler = next(filter(None, fillers), None)
        if filler is None:
            raise UnsupportedError(
                f"The tokenizer of {name!r} has no special token to fill short texts up with: give it a pad_token in "
                "tokenizer_config.json."
            )
        tokenizer.pad_token = filler


@contextmanager
def watched_weights(name: str) -> Iterator[None]:
    """Refuse a model some of whose weights are not in its files: transformers draws them at random and only logs it.

    Args:
        name: What the sentence calls the model that is loaded within.

    Raises:
        CorruptDataError: weights are missing; a pooler's do not count, since its output is not used.
    """
    missing: list[str] = []

    class Report(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines = re.sub(r"\x1b\[[\d;]*m", "", record.getMessage()).splitlines()
            rows = [line.split("|") for line in lines if "|" in line]
            missing.extend(row[0].strip() for row in rows if row[1].strip() == "MISSING" and "pooler" not in row[0])

    logger, handler = logging.getLogger("transformers.modeling_utils"), Report()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
    if missing:
        raise CorruptDataError(
            f"Model {name!r} lacks weights, such as {missing[0]}, which would be random: copy or download it whole."
        )


def explained(name: str, error: Exception) -> WorkbenchError:
    """What went wrong when a model was loaded, as one sentence.

    Args:
        name: A folder or a name on the hub.
        error: What the libraries raised.

    Returns:
        The error to raise.
    """
    if isinstance(error, WorkbenchError):
        return error
    try:
        for path in sorted(Path(name).glob("**/*.json")):
            _read(path)
    except CorruptDataError as damaged:
        return damaged
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if any(word in str(error) for word in OWN_CODE) or _has_own_modules(name):
        return UnsupportedError(
            f"Model {name!r} needs code of its own, which is not run: choose another model, or read that code and, "
            "where you trust it, load it with Encoder.load(name, trust_remote_code=True)."
        )
    if type(error).__name__ in DAMAGE or any(word in str(error) for word in MISFIT):
        return CorruptDataError(
            f"Model {name!r} has files that are cut short, altered or of another model ({reason}): copy or download it "
            "again."
        )
    known = ", ".join(plugins.names(plugins.MODELS))
    return NotFoundError(
        f"Model {name!r} could not be loaded ({reason}): give a folder, a cached or reachable hub name, or a "
        f"registered name ({known})."
    )


def _has_own_modules(name: str) -> bool:
    """Whether a folder names modules that no installed library defines."""
    path = Path(name) / "modules.json"
    if not path.exists():
        return False
    return any(not str(module.get("type", "")).startswith(KNOWN_MODULES) for module in _read(path))
