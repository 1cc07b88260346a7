"""Encoder: texts to TokenEmbeddings with any late-interaction model, in batches of similar length."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from engine.batching import Batch, cut_batches, in_threads, padded_tokens
from engine.embeddings import TokenEmbeddings
from engine.errors import InputError
from engine.fingerprint import model_fingerprint
from engine.letters import check_texts
from engine.merging import added_tokens, vector_groups
from engine.models import load_model, resolve_device
from engine.nested import nested_dimensions, shorten
from engine.precision import DTYPES, choose_dtype, computed_in, instructions, round_weights
from engine.tokens import Token, merged, tokens_of

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

Task = Literal["query", "document"]
Progress = Callable[[int, int], None]  # texts done, texts in all

LONGEST = 10_000_000  # tokens
POOL_TEXTS = 16384  # texts that the processes of several devices share out among them
FEW_TOKENS = 512  # in a batch this small, threads would wait for each other longer than they work
CHUNK_TEXTS = 1024  # texts tokenised together, then cut into batches of similar length
BATCH_TOKENS = {"cpu": 2048, "cuda": 65536, "mps": 16384}  # measured on a CPU: larger batches leave the cache


class Encoder:
    """A late-interaction model that encodes queries and documents and knows which text each vector stands for.

    Use `Encoder.load`; the constructor takes a model that is already there.

    Args:
        model: A sentence-transformers MultiVectorEncoder.
        name: What records call it.
        note: How its token vectors come about.
        batch_tokens: Tokens of a batch, padding included; the device's default when None.
    """

    def __init__(
        self, model: MultiVectorEncoder, name: str = "model", note: str = "", batch_tokens: int | None = None
    ) -> None:
        self.model = model
        self.name = name
        self.note = note
        self.batch_tokens = batch_tokens or BATCH_TOKENS.get(model.device.type, 2048)
        self.shortened = ""
        self._identity = model_fingerprint(model)
        self.choice = "given"  # why this dtype
        self._pool: dict[Any, Any] | None = None  # processes of `spread`
        self._tokenizing = threading.RLock()  # the length at which a tokenizer cuts is its state, not its argument

    @classmethod
    def load(
        cls,
        name: str = "embedded",
        device: str = "auto",
        dtype: str = "auto",
        trust_remote_code: bool = False,
        dim: int | None = None,
    ) -> Encoder:
        """Load a model by name.

        Args:
            name: "embedded", a folder, or a name on the Hugging Face hub; sentence-transformers, PyLate and Stanford
                ColBERT checkpoints, or a plain backbone (its own token vectors, with no random projection).
            device: "auto", "cpu", "cuda", "cuda:1", "mps".
            dtype: "auto" (by engine/precision.py from the model and the processor, the same at every load), "float32",
                "bfloat16", "float16", or "int8" (linear layers in 8 bits, on a CPU with AVX2 or AVX-512).
            trust_remote_code: Run the code that a checkpoint brings along; read that code first.
            dim: Keep so many leading coordinates of each vector, for models with nested (Matryoshka) dimensions; all
                when None. A warning says where the model was not trained for so many.

        Returns:
            The encoder.

        Raises:
            NotFoundError: no such model here, and it cannot be fetched.
            CorruptDataError: files of the model are missing, cut short or altered.
            UnsupportedError: it needs code of its own, or its tokenizer cannot be used.
            InputError: an unknown device or dtype, int8 where it cannot run, or a dim that the model does not have.
        """
        if dtype not in DTYPES:
            raise InputError(f"Unknown dtype {dtype!r}: choose among {', '.join(DTYPES)}.")
        device = resolve_device(device)
        model, note = load_model(name, device, trust_remote_code=trust_remote_code)
        encoder = cls(model, name, note)  # the fingerprint is taken before the weights are rounded
        if dim is not None and dim != encoder.dim:
            shorten(model, dim, name)
            encoder.shortened = f"-{dim}"  # as `TokenEmbeddings.prefix` of the whole vectors names it
        if dtype == "auto":
            dtype, encoder.choice = choose_dtype(name, device, instructions(device))
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
        round_weights(self.model, dtype)
        return self

    @contextmanager
    def spread(self, devices: Sequence[str]) -> Iterator[Encoder]:
        """Encode on several devices at once within the block, a process each: the pool of sentence-transformers.

        Args:
            devices: Torch devices, such as ["cuda:0", "cuda:1"].

        Yields:
            This encoder.

        Raises:
            InputError: no devices, or one that cannot be used here.
        """
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
        """What identifies its vectors: 16 hex digits for the model as it was loaded, its dtype, and its dim if cut."""
        return f"{self._identity}-{self.dtype}{self.shortened}"

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
            "device": self.device,
            "dtype": self.dtype,
            "dtype_choice": self.choice,
            "batch_tokens": self.batch_tokens,
            "fingerprint": self.fingerprint,
        }

    def max_length(self, task: Task) -> int | None:
        """Tokens after which a text is cut, special tokens included; None without a limit."""
        module: Any = self.model[0]
        expansion = getattr(module, "query_expansion", None)
        if task == "query" and expansion is not None and expansion["strategy"] == "fixed":
            return expansion["length"]
        limit = getattr(module, f"{task}_length", None) or self.model.max_seq_length
        return None if limit is None or limit > LONGEST else limit  # tokenizers without a limit say 1e30

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
        import torch

        features = self._preprocess(check_texts([text]), task)
        given = features["attention_mask"][0].bool().clone()
        ids, expanded = features["input_ids"][0].cpu(), features.get("query_expansion_positions")
        expansion = (given & False) if expanded is None else expanded[0].bool().cpu()
        attended = given | expansion
        with torch.inference_mode(False), torch.no_grad():
            groups = vector_groups(self.model, features, task)
        with self._tokenizing:
            named = tokens_of(
                self.model.tokenizer, ids[attended].tolist(), expansion[attended].tolist(), text, self._prompt(task)
            )
        places = attended.nonzero()[:, 0].tolist()
        token_at = dict(zip(places, named, strict=True))
        found = [merged([token_at[place] for place in group]) for group in groups if group]
        return found + [Token(name, -1, -1, "whole") for name in added_tokens(self.model)]

    def _prompt(self, task: Task) -> str:
        prompts = self.model.prompts
        names = ("query",) if task == "query" else ("document", "passage", "corpus")
        return next((prompts[name] or "" for name in names if prompts.get(name)), "")

    def _preprocess(self, texts: Sequence[str], task: Task) -> dict[str, Any]:
        with self._tokenizing:
            return self.model.preprocess(list(texts), prompt=self._prompt(task) or None, task=task)

    def _forward(self, features: dict[str, Any], task: Task) -> dict[str, Any]:
        import torch
        from sentence_transformers.util import batch_to_device

        with torch.inference_mode():
            return self.model(batch_to_device(features, self.model.device), task=task)

    def _encode(self, texts: Sequence[str], task: Task, progress: Progress | None) -> TokenEmbeddings:
        texts = check_texts(texts)
        storage = np.float32 if self.dtype == "float32" else np.float16
        if self._pool is not None:
            return self._encode_in_pool(texts, task, storage, progress)
        found: list[np.ndarray | None] = [None] * len(texts)
        truncated = done = 0
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        for start in range(0, len(order), CHUNK_TEXTS):
            chunk = order[start : start + CHUNK_TEXTS]
            features = self._preprocess([texts[i] for i in chunk], task)
            truncated += self._count_truncated(texts, chunk, features, task)
            pieces = list(cut_batches(features, self.batch_tokens))
            for (rows, _), (values, masks) in zip(pieces, self._run_all(pieces, task), strict=True):
                for row, value, mask in zip(rows, values, masks, strict=True):
                    found[chunk[row]] = value[mask].astype(storage, copy=False)
                done += len(rows)
                if progress is not None:
                    progress(done, len(texts))
        return self._joined([array for array in found if array is not None], texts, truncated, task)

    def _joined(self, arrays: list[np.ndarray], texts: list[str], truncated: int, task: Task) -> TokenEmbeddings:
        joined = TokenEmbeddings.from_list(arrays, self.fingerprint, dim=self.dim)
        if task == "query" and (empty := np.flatnonzero(joined.lengths == 0)).size:
            raise InputError(
                f"Nothing of the query {texts[empty[0]][:80]!r} at position {empty[0]} is left to score, since the "
                "model scores none of its tokens: ask with other words."
            )
        joined.check([f"{task} {i}" for i in range(len(joined))])  # here, where the text that caused it is known
        return TokenEmbeddings(joined.values, joined.offsets, self.fingerprint, truncated, self.added)

    def _encode_in_pool(
        self, texts: list[str], task: Task, storage: type[np.floating[Any]], progress: Progress | None
    ) -> TokenEmbeddings:
        """Encode in the processes of `spread`; texts that are cut are counted here."""
        encode = self.model.encode_query if task == "query" else self.model.encode_document
        batch = max(self.batch_tokens // (self.max_length(task) or 512), 1)
        arrays: list[np.ndarray] = []
        truncated = 0
        for start in range(0, len(texts), POOL_TEXTS):
            chunk = texts[start : start + POOL_TEXTS]
            found: Any = encode(chunk, pool=self._pool, batch_size=batch, convert_to_numpy=True)
            arrays += [np.asarray(array).astype(storage, copy=False) for array in found]
            truncated += self._count_truncated(chunk, list(range(len(chunk))), self._preprocess(chunk, task), task)
            if progress is not None:
                progress(len(arrays), len(texts))
        return self._joined(arrays, texts, truncated, task)

    def _run(self, batch: dict[str, Any], task: Task) -> tuple[np.ndarray, np.ndarray]:
        """Padded vectors and the mask of those that count, of one batch."""
        output = self._forward(batch, task)
        return output["token_embeddings"].to("cpu").float().numpy(), output["attention_mask"].bool().cpu().numpy()

    def _run_all(self, pieces: list[Batch], task: Task) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Results in the order of the batches; on a CPU one thread a batch, which spares it waiting for the others."""
        if self.model.device.type == "cpu" and (len(pieces) > 1 or padded_tokens(pieces) <= FEW_TOKENS):
            return in_threads(lambda piece: self._run(piece[1], task), pieces)
        return (self._run(batch, task) for _, batch in pieces)

    def _count_truncated(self, texts: Sequence[str], chunk: list[int], features: dict[str, Any], task: Task) -> int:
        """How many texts of a chunk were cut: only those that fill the limit are tokenised again to know."""
        limit = self.max_length(task)
        if limit is None:
            return 0
        full = [chunk[i] for i in (features["attention_mask"].sum(1) >= limit).nonzero()[:, 0].tolist()]
        if not full or self.model.tokenizer is None:
            return 0
        prompt, tokenizer = self._prompt(task), cast(Any, self.model.tokenizer)
        cut = [f"{prompt}{texts[i]}" for i in full]
        with self._tokenizing:
            lengths = tokenizer(cut, truncation=False, verbose=False)["input_ids"]
        return sum(len(ids) > limit for ids in lengths)
