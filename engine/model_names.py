"""The name of a model, with how much of a document it reads: one text for records, commands and other processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.choices import check_open, join_choices, split_choices
from engine.errors import InputError

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

LARGEST = 10_000_000  # tokens


@dataclass(frozen=True)
class Windows:
    """How documents are read that are longer than a model reads at once.

    Args:
        size: Tokens of a window at most, special tokens and a prompt included.
        overlap: Tokens of the text that a window shares with the one before, at least.

    Raises:
        InputError: a size below 2, or an overlap above half of it.
    """

    size: int
    overlap: int = 0

    def __post_init__(self) -> None:
        if not (2 <= self.size <= LARGEST and 0 <= self.overlap <= self.size // 2):
            raise InputError(
                f"Expected windows of 2 to {LARGEST:,} tokens that share at most half, got {self}: try 256:32."
            )

    def __str__(self) -> str:
        return f"{self.size}:{self.overlap}"

    @classmethod
    def parse(cls, text: str) -> Windows:
        """Read what a person writes.

        Args:
            text: "256", or "256:64": size and overlap.

        Returns:
            The windows.

        Raises:
            InputError: no such form, or impossible numbers.
        """
        size, colon, overlap = text.strip().partition(":")
        if not (size.isdecimal() and (overlap if colon else "0").isdecimal()):
            raise InputError(f"Expected windows as size:overlap in tokens, got {text!r}: try 256:32.")
        return cls(int(size), int(overlap or 0))


@dataclass(frozen=True)
class ModelName:
    """Which model, and how it reads documents.

    Args:
        name: "embedded", a folder, or a name on the hub.
        windows: How it reads documents longer than it reads at once; None cuts them.
        document_length: Tokens after which a document is cut, special tokens included; None is the model's own length,
            and with windows no length at all.
    """

    name: str
    windows: Windows | None = None
    document_length: int | None = None

    @classmethod
    def parse(cls, text: str) -> ModelName:
        """Read a name such as "embedded?windows=256:32&document_length=4096".

        Raises:
            InputError: a choice is made twice, or is none.
        """
        name, choices = split_choices(text, ("windows", "document_length"))
        windows, length = choices.get("windows"), choices.get("document_length")
        return cls(name, None if windows is None else Windows.parse(windows), _length(length))

    def __str__(self) -> str:
        return join_choices(self.name, {"windows": self.windows, "document_length": self.document_length})

    def choose(self, windows: str | Windows | None = None, document_length: int | str | None = None) -> ModelName:
        """The same with choices that the name leaves open.

        Args:
            windows: Windows, or what a person writes; None leaves the choice as it is.
            document_length: The same of the length.

        Raises:
            InputError: a value is none, or the name chooses something else already.
        """
        chosen = {
            "windows": Windows.parse(windows) if isinstance(windows, str) else windows,
            "document_length": _length(document_length),
        }
        for choice, value in chosen.items():
            check_open(self, choice, getattr(self, choice), value)
        return replace(self, **{choice: value for choice, value in chosen.items() if value is not None})


def _length(value: int | str | None) -> int | None:
    text = str(value)
    if value is None:
        return None
    if isinstance(value, bool) or not text.isdecimal() or not 2 <= int(text) <= LARGEST:
        raise InputError(f"Expected a document length of 2 to {LARGEST:,} tokens, got {value!r}: try 512.")
    return int(text)


def context_of(model: MultiVectorEncoder) -> int | None:
    """Tokens that a model has positions for, special tokens included; None where nothing limits it.

    Args:
        model: The model, of whose first module the transformer's configuration and embeddings say it.
    """
    inner: Any = getattr(model[0], "auto_model", None)
    config = getattr(inner, "config", None)
    config = config.get_text_config() if config is not None and hasattr(config, "get_text_config") else config
    limit = getattr(config, "max_position_embeddings", None) or model.max_seq_length
    for name, module in inner.named_modules() if inner is not None else ():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            limit = module.num_embeddings - module.padding_idx - 1  # as RoBERTa counts: from behind the padding on
    return None if limit is None or limit > LARGEST else int(limit)
