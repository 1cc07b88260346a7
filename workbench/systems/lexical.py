"""BM25 (Robertson and others, 1994): by bm25s, whose matrix holds what each word adds to the score of each document."""

from __future__ import annotations

import contextlib
import math
import re
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from engine import storage
from engine.errors import BusyError, CorruptDataError, InputError, NotFoundError
from engine.machine import versions
from engine.plugins import imported
from engine.retrieval import rank_of, top_positions
from workbench.cache import content_key
from workbench.paths import data_folder
from workbench.systems.material import Material, Question
from workbench.systems.stages import Finder, Found, Options, Place, only

METHODS = {"lucene": "lucene", "robertson": "robertson", "atire": "atire", "bm25l": "bm25l", "bm25plus": "bm25+"}
PACKAGES = {"bm25s": "bm25s", "Stemmer": "PyStemmer"}  # module -> distribution
WORD = r"(?u)\b\w\w+\b"  # the tokeniser's: two letters or more
NONE = "none"
KIND = "bm25"
NOTHING_SHARED = "it shares no word with the question: another stage beside this one has to find it"


@dataclass(frozen=True)
class Bm25Options(Options):
    """Options of BM25.

    Args:
        k1: How soon more of the same word adds no more; 0 or more.
        b: How much long documents are held back, 0 to 1.
        method: The formula, one of `METHODS`, by their names in bm25s (Kamphuis and others, 2020).
        delta: Of bm25l and bm25plus: what a word adds at least.
        stemmer: A language of PyStemmer, or "none".
        stopwords: A list of bm25s by its language, such as "en", or "none".
    """

    k1: float = 1.5
    b: float = 0.75
    method: str = "lucene"
    delta: float = 0.5
    stemmer: str = "english"
    stopwords: str = "en"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, most in (("k1", math.inf), ("b", 1.0), ("delta", math.inf)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most or (
                math.isinf(value)
            ):  # fmt: skip
                limit = " to 1" if most == 1 else " or more"
                raise InputError(f"Expected {name} of 'bm25' as a number of 0{limit}, got {value!r}: change it.")
            object.__setattr__(self, name, float(value))
        if self.method not in METHODS:
            raise InputError(f"Unknown method {self.method!r} of 'bm25': choose among {', '.join(METHODS)}.")


class Bm25(Finder):
    """Ranks by the words that a document shares with the question; documents that share none are not found.

    Args:
        options: See `Bm25Options`.
        material: The collection.
    """

    name = "bm25"
    options_class = Bm25Options
    packages: ClassVar[tuple[str, ...]] = tuple(PACKAGES.values())

    def __init__(self, options: Bm25Options, material: Material) -> None:
        self.options, self._ties = options, material.ties
        words = {"stemmer": options.stemmer, "stopwords": options.stopwords}
        formula = {name: value for name, value in asdict(options).items() if name != "k"}
        packages = versions(list(PACKAGES.values()))
        made_by = {name: packages[name] for name in PACKAGES.values()}
        folder = data_folder("cache", "bm25") / content_key(KIND, formula, made_by, *material.texts)
        self._read(folder, material.texts, formula)
        self._tokeniser = {"words": WORD, **words, "lower": True, **made_by}

    @classmethod
    def check(cls, options: Bm25Options, material: Material) -> None:
        """Raise unless the packages are there, and know the stemmer and the stop words."""
        for module, package in PACKAGES.items():
            imported(module, package, "systems")
        stemmers, lists = import_module("Stemmer").algorithms(), _stop_words(options.stopwords)
        if options.stemmer not in (NONE, *stemmers):
            known = ", ".join((NONE, *stemmers))
            raise InputError(f"Unknown stemmer {options.stemmer!r} of 'bm25': choose among {known}.")
        if lists is None:
            raise InputError(f"Unknown stop words {options.stopwords!r} of 'bm25': name a language such as en or de, "
                             f"or {NONE}.")  # fmt: skip

    def _read(self, folder: Path, texts: list[str], formula: dict[str, Any]) -> None:
        """Open the matrix that was kept, or make and keep it."""
        try:
            manifest = storage.read_manifest(folder, KIND)
            storage.verify(folder, manifest)
            names = ("data", "indices", "indptr", "beside", "words")
            arrays = {name: storage.open_array(folder, manifest, name) for name in names}
            self.build_seconds = manifest.record["seconds"]
        except (NotFoundError, CorruptDataError):
            start = time.perf_counter()
            arrays = _matrix(tuple(_tokens(text, self.options) for text in texts), formula)
            self.build_seconds = time.perf_counter() - start
            with contextlib.suppress(BusyError), storage.writer_lock(folder):  # busy: another keeps the same
                storage.commit(folder, KIND, {"seconds": self.build_seconds}, arrays)
        self._data, self._indices, self._indptr = arrays["data"], arrays["indices"], arrays["indptr"]
        self._beside, self._bytes = arrays["beside"], sum(array.nbytes for array in arrays.values())
        words = arrays["words"].tobytes().decode("utf-8").split("\n")
        self._columns = {word: number for number, word in enumerate(words)} if len(arrays["words"]) else {}

    @property
    def holdings(self) -> dict[str, int]:
        """The matrix and its words."""
        return {f"bm25 {content_key(asdict(self.options))}": self._bytes}

    def describe(self) -> dict[str, Any]:
        """Options, and how texts become words."""
        return super().describe() | {"tokeniser": self._tokeniser}

    def _scores(self, text: str) -> np.ndarray:
        """Scores of all documents, float32; minus infinity where no word is shared."""
        scores, beside = np.zeros(len(self._ties), np.float32), np.float32(0)
        for word in _tokens(text, self.options):
            column = self._columns.get(word)
            if column is not None:
                rows = slice(self._indptr[column], self._indptr[column + 1])
                scores[self._indices[rows]] += self._data[rows]  # a document has one entry in a column
                beside += self._beside[column]
        return np.where(scores > 0, scores + beside, np.float32(-np.inf))

    def find(self, question: Question, k: int, among: np.ndarray | None = None) -> Found:
        """The k best documents that share a word with the question."""
        scores = only(self._scores(question.text), among)
        best = top_positions(scores, self._ties, k)
        return Found(best, scores[best])

    def place(self, question: Question, position: int, k: int) -> Place:
        """Its rank among all documents."""
        scores = self._scores(question.text)
        if scores[position] == -np.inf:
            return Place(None, None, len(scores), NOTHING_SHARED)
        return Place(rank_of(position, scores, self._ties), float(scores[position]), len(scores))

    def reasons(self, question: Question, position: int) -> tuple[tuple[str, float], ...]:
        """Words of the question that the document has, and what each adds, as they are written in the question."""
        found: dict[str, float] = {}
        for written in re.findall(WORD, question.text):
            for word in _tokens(written, self.options):
                column = self._columns.get(word)
                rows = slice(0, 0) if column is None else slice(self._indptr[column], self._indptr[column + 1])
                here = np.flatnonzero(self._indices[rows] == position)
                if len(here):
                    added = float(self._data[rows][here[0]] + self._beside[column])
                    found[written] = found.get(written, 0.0) + added
        return tuple(sorted(found.items(), key=lambda item: -item[1]))


@lru_cache(maxsize=8)
def _stemmer(language: str) -> Any:
    return None if language == NONE else import_module("Stemmer").Stemmer(language)


@lru_cache(maxsize=8)
def _stop_words(language: str) -> frozenset[str] | None:
    """The stop words of a language; None where bm25s has no such list."""
    try:
        tokeniser = import_module("bm25s.tokenization").Tokenizer(stopwords=None if language == NONE else language)
    except ValueError:
        return None
    return frozenset(tokeniser.stopwords)


def _tokens(text: str, options: Bm25Options) -> list[str]:
    """The words of a text as `bm25s.tokenize` gives them: lower case, without stop words, stemmed."""
    stop = _stop_words(options.stopwords) or frozenset()
    words = [word for word in re.findall(WORD, text.lower()) if word not in stop]
    stemmer = _stemmer(options.stemmer)
    return words if stemmer is None else stemmer.stemWords(words)


def _matrix(documents: tuple[list[str], ...], formula: dict[str, Any]) -> dict[str, np.ndarray]:
    """What each word adds to each document, by columns of words in code-point order: the same for the same texts."""
    bm25s = import_module("bm25s")
    vocabulary = sorted({word for words in documents for word in words})
    columns = {word: number for number, word in enumerate(vocabulary)}
    numbers = [[columns[word] for word in words] for words in documents]
    if not vocabulary:
        return _without_words()
    settings = {name: formula[name] for name in ("k1", "b", "delta")}
    model = bm25s.BM25(method=METHODS[formula["method"]], **settings)
    model.index((numbers, columns), create_empty_token=False, show_progress=False)
    entries, beside = model.scores, model.nonoccurrence_array
    order = np.lexsort((entries["indices"], np.repeat(np.arange(len(vocabulary)), np.diff(entries["indptr"]))))
    return {
        "data": entries["data"].astype(np.float32)[order], "indices": entries["indices"].astype(np.int32)[order],
        "indptr": entries["indptr"].astype(np.int64),
        "beside": np.zeros(len(vocabulary), np.float32) if beside is None else beside.astype(np.float32),
        "words": np.frombuffer("\n".join(vocabulary).encode("utf-8"), np.uint8),
    }  # fmt: skip


def _without_words() -> dict[str, np.ndarray]:
    return {"data": np.empty(0, np.float32), "indices": np.empty(0, np.int32), "indptr": np.zeros(1, np.int64),
            "beside": np.empty(0, np.float32), "words": np.empty(0, np.uint8)}  # fmt: skip
