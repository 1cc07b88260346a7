"""Encoder: texts to TokenEmbeddings with any late-interaction model, in batches of similar length."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.embeddings import TokenEmbeddings
from engine.encoding import Progress, Task, encode_on_devices, encode_texts
from engine.errors import InputError
from engine.fingerprint import model_fingerprint
from engine.letters import check_texts
from engine.local_attention import use_local_attention
from engine.merging import added_tokens, run_modules
from engine.model_names import LARGEST, ModelName, Windows, context_of
from engine.models import load_model, resolve_device
from engine.naming import named_tokens
from engine.nested import nested_dimensions, shorten
from engine.precision import DTYPES, choose_dtype, computed_in, instructions, round_weights
from engine.short_texts import QuestionReader
from engine.tokens import Token
from engine.windows import check_reading, encode_in_windows

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

BATCH_TOKENS = {"cpu": 2048, "cuda": 65536, "mps": 16384}  # measured on a CPU: larger batches leave the cache


class Encoder:
    """A late-interaction model that encodes queries and documents and knows which text each vector stands for.

    Use `Encoder.load`; the constructor takes a model that is already there.

    Args:
        model: A sentence-transformers MultiVectorEncoder.
        name: What records call it.
        note: How its token vectors come about.
        batch_tokens: Tokens of a batch, padding included; the device's default when None.
        windows: How documents are read that are longer than the model reads at once; None cuts them.
        document_length: Tokens after which a document is cut; see `ModelName`.

    Raises:
        InputError: windows or a length that the model cannot read.
        UnsupportedError: its tokenizer does not tell what it writes around a text, which windows need.
    """

    def __init__(
        self, model: MultiVectorEncoder, name: str = "model", note: str = "", batch_tokens: int | None = None,
        windows: Windows | None = None, document_length: int | None = None,
    ) -> None:  # fmt: skip
        self.model, self.name, self.note = model, name, note
        self.windows, self.document_length = windows, document_length
        self.batch_tokens = batch_tokens or BATCH_TOKENS.get(model.device.type, 2048)
        self.shortened = ""
        self._identity = model_fingerprint(model)
        use_local_attention(model)  # of long texts on a CPU, after the fingerprint: it changes no vector
        self.choice = "given"  # why this dtype
        self._pool: dict[Any, Any] | None = None  # processes of `spread`
        self._questions = QuestionReader(model)
        self.tokenizing = threading.RLock()  # the length at which a tokenizer cuts is its state, not its argument
        check_reading(self)

    @classmethod
    def load(
        cls,
        name: str = "embedded",
        device: str = "auto",
        dtype: str = "auto",
        trust_remote_code: bool = False,
        dim: int | None = None,
        windows: str | Windows | None = None,
        document_length: int | None = None,
    ) -> Encoder:
        """Load a model by name.

        Args:
            name: "embedded", a folder, or a name on the Hugging Face hub; sentence-transformers, PyLate and Stanford
                ColBERT checkpoints, or a plain backbone (its own token vectors, with no random projection). It may say
                how documents are read, as in "embedded?windows=256:32".
            device: "auto", "cpu", "cuda", "cuda:1", "mps".
            dtype: "auto" (by engine/precision.py from the model and the processor, the same at every load), "float32",
                "bfloat16", "float16", or "int8" (linear layers in 8 bits, on a CPU with AVX2 or AVX-512).
            trust_remote_code: Run the code that a checkpoint brings along; read that code first.
            dim: Keep so many leading coordinates of each vector, for models with nested (Matryoshka) dimensions; all
                when None. A warning says where the model was not trained for so many.
            windows: Read documents that are longer in windows of so many tokens that overlap, such as "256:32", and
                join their vectors; see engine/windows.py. None cuts documents at the document length.
            document_length: Tokens after which a document is cut, special tokens included, up to the positions that
                the model has, or as many as wanted with windows; None is the model's own length, with windows no limit.

        Returns:
            The encoder.

        Raises:
            NotFoundError: no such model here, and it cannot be fetched.
            CorruptDataError: files of the model are missing, cut short or altered.
            UnsupportedError: it needs code of its own, or its tokenizer cannot be used.
            InputError: an unknown device or dtype, int8 where it cannot run, a dim that the model does not have, or
                windows or a length that it cannot read.
        """
        wanted = ModelName.parse(name).choose(windows, document_length)
        if dtype not in DTYPES:
            raise InputError(f"Unknown dtype {dtype!r}: choose among {', '.join(DTYPES)}.")
        device = resolve_device(device)
        model, note = load_model(wanted.name, device, trust_remote_code=trust_remote_code)
        reading: dict[str, Any] = {"windows": wanted.windows, "document_length": wanted.document_length}
        encoder = cls(model, str(wanted), note, **reading)  # the fingerprint is taken before the weights are rounded
        if dim is not None and dim != encoder.dim:
            shorten(model, dim, wanted.name)
            encoder.shortened = f"-{dim}"  # as `TokenEmbeddings.prefix` of the whole vectors names it
        if dtype == "auto":
            dtype, encoder.choice = choose_dtype(wanted.name, device, instructions(device))
        return encoder.compute_in(dtype)

    def compute_in(self, dtype: str) -> Encoder:
        """Round the weights of a float32 model, in place.

        Args:
            dtype: "float32", "bfloat16" (on a CPU the linear layers, where torch can), "float16" or "int8" (the linear
                layers).

        Returns:
            This encoder.

        Raises:
            InputError: int8 away from a CPU with AVX2 or AVX-512.
        """
        questions = self._questions.rounded(dtype)
        round_weights(self.model, dtype)
        self._questions.keep(questions)  # not before: what was refused changes nothing
        return self

    @contextmanager
    def spread(self, devices: Sequence[str]) -> Iterator[Encoder]:
        """Encode on several devices at once within the block, a process each: the pool of sentence-transformers.

        Args:
            devices: Torch devices, such as ["cuda:0", "cuda:1"].

        Yields:
            This encoder.

        Raises:
            InputError: no devices, or one that cannot be used here; or windows or a document length, which the other
                processes do not know.
        """
        if self.reading:
            raise InputError(
                f"Expected the model's own document length on several devices, got {self.name!r}: leave windows and "
                "the document length out, or take one device."
            )
        if not devices:
            raise InputError("Expected the names of devices, got none: give some, such as cuda:0 and cuda:1.")
        self._pool = self.model.start_multi_process_pool([resolve_device(device) for device in devices])
        try:
            yield self
        finally:
            pool, self._pool = self._pool, None
            self.model.stop_multi_process_pool(pool)

    @property
    def dtype(self) -> str:
        """What the model computes in; on a CPU "bfloat16" and "int8" are the linear layers, the rest is float32."""
        return computed_in(self.model)

    @property
    def fingerprint(self) -> str:
        """What identifies its vectors: 16 hex digits for the model as it was loaded, its dtype, and its dim if cut.

        How documents are read follows where it is not the model's own way.
        """
        return f"{self._identity}-{self.dtype}{self.shortened}{self.reading}"

    @property
    def questions(self) -> str:
        """How questions are computed where that is another way than documents; see engine/short_texts.py."""
        return self._questions.name

    @property
    def reading(self) -> str:
        """How documents are read, "-windows256:32-length4096"; nothing where it is the model's own way."""
        windows = "" if self.windows is None else f"-windows{self.windows}"
        own = self.document_length is None or (self.windows is None and self.document_length == self._own_length())
        return windows + ("" if own else f"-length{self.document_length}")

    @property
    def context(self) -> int | None:
        """Tokens that the model has positions for, special tokens included; None where nothing limits it."""
        return context_of(self.model)

    @property
    def device(self) -> str:
        """The torch device of the model."""
        return str(self.model.device)

    @property
    def dim(self) -> int:
        """Dimension of a token vector."""
        dim = self.model.get_embedding_dimension()
        assert dim is not None
        return dim

    @property
    def added(self) -> int:
        """How many last vectors of a text stand for none of its tokens, such as mean tokens."""
        return len(added_tokens(self.model))

    @property
    def nested(self) -> tuple[int, ...]:
        """The dimensions that it was trained for, ascending; none where it does not say."""
        return nested_dimensions(self.model)

    def describe(self) -> dict[str, Any]:
        """Name, dimension, lengths, device, dtype, batch size and fingerprint, as JSON values."""
        return {
            "model": self.name,
            "note": self.note,
            "dim": self.dim,
            "query_length": self.max_length("query"),
            "document_length": self.max_length("document"),
            "windows": "" if self.windows is None else str(self.windows),
            "device": self.device,
            "dtype": self.dtype,
            "dtype_choice": self.choice,
            "questions": self.questions,
            "batch_tokens": self.batch_tokens,
            "fingerprint": self.fingerprint,
        }

    def max_length(self, task: Task) -> int | None:
        """Tokens after which a text is cut, special tokens included; None without a limit."""
        return self.document_length if self._chosen_length(task) else self._own_length(task)

    def _chosen_length(self, task: Task) -> bool:
        return task == "document" and (self.windows is not None or self.document_length is not None)

    def _own_length(self, task: Task = "document") -> int | None:
        module: Any = self.model[0]
        expansion = getattr(module, "query_expansion", None)
        if task == "query" and expansion is not None and expansion["strategy"] == "fixed":
            return expansion["length"]
        limit = getattr(module, f"{task}_length", None) or self.model.max_seq_length
        return None if limit is None or limit > LARGEST else limit  # tokenizers without a limit say 1e30

    def encode_query(self, texts: Sequence[str], progress: Progress | None = None) -> TokenEmbeddings:
        """Encode queries: the query prefix, length and expansion of the model apply.

        Args:
            texts: n questions, none empty.
            progress: Called with (texts done, n) after each batch.

        Returns:
            n embeddings, float32 (float16 when the model computes in 16 bits); `.truncated` counts texts that were cut.

        Raises:
            InputError: a text that is empty or no string, of which the model scores nothing, or whose vectors are not
                finite; the sentence gives its position.
        """
        return self._encode(texts, "query", progress)

    def encode_document(self, texts: Sequence[str], progress: Progress | None = None) -> TokenEmbeddings:
        """Encode documents: the document prefix, length and skiplist of the model apply.

        Args:
            texts: n texts, none empty.
            progress: Called with (texts done, n) after each batch.

        Returns:
            n embeddings, float32 (float16 when the model computes in 16 bits); `.truncated` counts texts that were cut,
            `.without_vectors` those of which the model scores nothing: they have no vectors and score minus infinity.

        Raises:
            InputError: a text that is empty or no string, or whose vectors are not finite; the sentence gives its
                position.
        """
        return self._encode(texts, "document", progress)

    def tokens(self, text: str, task: Task) -> list[Token]:
        """The tokens behind the vectors of one text, in the same order.

        Args:
            text: The text.
            task: "query" or "document".

        Returns:
            One token a vector, with its characters in `text` and its kind; of a vector that the model merged from
            several, a token with these as its parts.

        Raises:
            InputError: an empty text.
            UnsupportedError: the model merges vectors in a way that does not tell which.
        """
        return named_tokens(self, check_texts([text])[0], task)

    def prompt(self, task: Task) -> str:
        """What the model puts in front of a text."""
        prompts = self.model.prompts
        names = ("query",) if task == "query" else ("document", "passage", "corpus")
        return next((prompts[name] or "" for name in names if prompts.get(name)), "")

    def preprocess(self, texts: Sequence[str], task: Task) -> dict[str, Any]:
        """What the model makes of texts before it reads them, cut at `max_length`.

        Args:
            texts: n texts, none empty.
            task: "query" or "document".

        Returns:
            Features of sentence-transformers, tensors [n, width] among them.
        """
        limits: dict[str, Any] = {}
        if self._chosen_length(task):
            length = {"max_length": self.document_length, "truncation": self.document_length is not None}
            limits = {"processing_kwargs": {"text": {**length, "verbose": False}}}
        with self.tokenizing:
            return self.model.preprocess(list(texts), prompt=self.prompt(task) or None, task=task, **limits)

    def forward(self, features: dict[str, Any], task: Task) -> dict[str, Any]:
        """The vectors of a batch of `preprocess`, padded, and the mask of those that count; without gradients."""
        import torch

        with torch.inference_mode():
            reader = self._questions.reader() if task == "query" else None
            if reader is not None and reader.takes(features):
                return run_modules(self.model, reader.read(features), task, first=1)
            return run_modules(self.model, features, task)

    def _encode(self, texts: Sequence[str], task: Task, progress: Progress | None) -> TokenEmbeddings:
        texts = check_texts(texts)
        storage = np.float32 if self.dtype == "float32" else np.float16
        if self._pool is not None and not (task == "query" and self.questions):  # elsewhere they differ a little
            found = encode_on_devices(self, self._pool, texts, task, storage, progress)
        elif self.windows is not None and task == "document":
            found = encode_in_windows(self, self.windows, texts, storage, progress)
        else:
            found = encode_texts(self, texts, task, storage, progress)
        joined = TokenEmbeddings(*found.joined(self.dim, storage), self.fingerprint)
        if task == "query" and (empty := np.flatnonzero(joined.lengths == 0)).size:
            raise InputError(
                f"Nothing of the query {texts[empty[0]][:80]!r} at position {empty[0]} is left to score, since the "
                "model scores none of its tokens: ask with other words."
            )
        joined.check([f"{task} {i}" for i in range(len(joined))])  # here, where the text that caused it is known
        return replace(joined, added=self.added, counts=found.counts)
