"""Training data: pairs, negatives and scored lists, read from anywhere, with what is wrong in them counted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.collection import Collection
from engine.errors import InputError
from engine.reading import LOG
from engine.reading.rows import TABLES, Table, read_table
from engine.reading.values import listed
from engine.storage import replace_text
from engine.training.examples import consistent_examples, judged_examples
from engine.training.formats import HEADERLESS, NAMES, Example, find_roles, read_example, refuse_lookalikes

if TYPE_CHECKING:
    from engine.encoder import Encoder

Kind = Literal["pairs", "negatives", "scored"]
ABSENT = -1  # the key of a document that a row does not have


@dataclass(frozen=True)
class TrainingData:
    """Rows of one query and its documents.

    Args:
        columns: "query", "positive", then "negative_1", "negative_2", ...: each a list of n texts, "" where a row has
            fewer negatives than others. Rows of scored lists have their documents in the same columns, best first.
        scores: n lists of one teacher score a document, or None.
        counts: What reading and checking found: "rows", "kept", "empty", "duplicate", "over_long", "leaking", and
            where there were some "several_positives" (rows that became one for each), "contradicting" (negatives that
            are positives of the same question, left out), "without_positive", "replaced" (unusable letters).
        name: Where it came from.
    """

    columns: dict[str, list[str]]
    scores: list[list[float]] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    name: str = "data"

    def __len__(self) -> int:
        return len(self.columns["query"])

    @property
    def kind(self) -> Kind:
        """What the rows are: "pairs", "negatives" or "scored"."""
        if self.scores is not None:
            return "scored"
        return "negatives" if len(self.columns) > 2 else "pairs"

    def select(self, rows: Sequence[int]) -> TrainingData:
        """The rows at these positions, in this order."""
        columns = {name: [texts[i] for i in rows] for name, texts in self.columns.items()}
        return replace(self, columns=columns, scores=None if self.scores is None else [self.scores[i] for i in rows])

    def check(
        self,
        encoder: Encoder | None = None,
        development: Collection | None = None,
        lengths: Mapping[str, int] | None = None,
    ) -> TrainingData:
        """Count over-long texts and drop rows that leak what the development collection asks or holds as answers.

        Args:
            encoder: Its lengths say what is over-long; None leaves that uncounted.
            development: Its judged questions and the documents that answer them must not be trained on.
            lengths: "query" or "document" -> tokens after which training cuts, in place of the encoder's.

        Returns:
            The data without leaking rows, with the counts filled in.

        Raises:
            InputError: no row is left.
        """
        leaking: set[int] = set()
        if development is not None:
            asked = {_key(development.queries[query]) for query in development.judged_queries}
            answers = {
                _key(development.documents[name])
                for query in development.judged_queries
                for name, grade in development.qrels[query].items()
                if grade > 0
            }
            for i in range(len(self)):
                positive = _key(self.columns["positive"][i])
                if _key(self.columns["query"][i]) in asked or positive in answers:
                    leaking.add(i)
        kept = self.select([i for i in range(len(self)) if i not in leaking])
        if len(kept) == 0:
            raise InputError(f"All {len(self)} rows of {self.name} are also in the development collection: use others.")
        found = self.counts.get("leaking", 0) + len(leaking)  # a second check does not forget the first
        counts = {**self.counts, "leaking": found, "kept": len(kept)}
        if encoder is not None:
            counts["over_long"] = _count_over_long(kept, encoder, lengths or {})
        return replace(kept, counts=counts)

    def rows(self) -> list[dict[str, Any]]:
        """The rows as dicts, with "scores" where there are some: what `read_training_data` takes."""
        rows: list[dict[str, Any]] = [
            {column: text for column, text in zip(self.columns, texts, strict=True) if text}
            for texts in zip(*self.columns.values(), strict=True)
        ]
        for row, scores in zip(rows, self.scores or (), strict=False):
            row["scores"] = scores
        return rows

    def save(self, path: str | Path) -> None:
        """Write the rows as JSON lines, to a file that is replaced as a whole."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        replace_text(Path(path), "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows()))

    def answers(self) -> dict[int, tuple[int, ...]]:
        """Key of a question -> the keys of all its positives, over all rows: never negatives of that question."""
        found: dict[int, dict[int, None]] = {}
        for query, positive in zip(self.columns["query"], self.columns["positive"], strict=True):
            found.setdefault(text_key(query), {})[text_key(positive)] = None
        return {query: tuple(keys) for query, keys in found.items()}

    def to_dataset(self, keys: bool = False) -> Any:
        """The rows as a `datasets.Dataset`, the columns in the order that losses expect.

        Args:
            keys: Label each row with the keys of its texts instead of its scores, as contrastive losses need them to
                leave out what is absent or another answer. In place of an absent text stands the question, which costs
                least, or the positive where a model may score nothing of the question.
        """
        from datasets import Dataset

        pairs = zip(self.columns["query"], self.columns["positive"], strict=True)
        fillers = [query if any(map(str.isalnum, query)) else positive for query, positive in pairs]
        columns: dict[str, Any] = {
            name: [text or filler for text, filler in zip(texts, fillers, strict=True)]
            for name, texts in self.columns.items()
        }
        if keys:
            rows = zip(*self.columns.values(), strict=True)
            columns["label"] = [[text_key(text) if text else ABSENT for text in row] for row in rows]
        elif self.scores is not None:
            columns["label"] = self.scores
        return Dataset.from_dict(columns)


def text_key(text: str) -> int:
    """A number of 63 bits for a text, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little") >> 1


def read_training_data(
    source: str | Path | Sequence[Mapping[str, Any]] | Any,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> TrainingData:
    """Read rows with a question and one or more documents; docs/formats.md shows every format.

    Args:
        source: A .jsonl, .json, .csv, .tsv or .parquet file, a `datasets.Dataset`, a data frame, or a list of dicts.
        columns: Our name -> the source's, for "query", "positive", "negative", "scores"; others are found by name.
            Several columns of negatives are joined by +, and "" says that there is none. A cell may hold a list; every
            column that begins with "negative", "neg" or "hard_neg" is taken, unless it holds ids or scores.
        limit: Rows to read at most.

    Returns:
        One row a positive, without empty texts and duplicates, which are counted.

    Raises:
        NotFoundError: there is no such file.
        InputError: an unknown format, a column that is missing, a malformed line (named by its number), or no rows.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, Integral) or limit < 1):
        raise InputError(f"Expected a limit of one row or more, got {limit!r}: raise it, or leave it out.")
    mapped = columns or {}
    table = _table(source, limit, {name for column in mapped.values() for name in column.split("+")})
    if not table.rows:
        raise InputError(f"{table.name} holds no rows: training needs at least two.")
    roles = find_roles(table, mapped)
    refuse_lookalikes(table, roles, mapped)
    found = [read_example(row, roles, table.where(position)) for position, row in enumerate(table.rows)]
    counts = {"rows": len(found), "empty": sum(example is None for example in found), "duplicate": 0}
    examples = [example for example in found if example is not None]
    if roles.labels:
        examples = judged_examples(examples, counts)
    data = _assemble(table.name, consistent_examples(examples, counts), counts)
    unused = [column for column in table.columns if column not in roles.used()]
    notes = [*table.notes, *([f"columns without a role were not read: {listed(unused)}"] if unused else [])]
    for note in notes:
        LOG.info("%s: %s.", Path(table.name).name, note)
    return data


def collection_pairs(collection: Collection, least_grade: int = 1) -> TrainingData:
    """A collection's judgements as pairs of a question and a relevant document.

    Args:
        collection: Its judgements are training data here: evaluate on another.
        least_grade: Grade from which a document is a positive.

    Returns:
        One row a judgement.

    Raises:
        InputError: no judgement reaches the grade.
    """
    rows = [
        {"query": text, "positive": collection.documents[name]}
        for query, text in collection.queries.items()
        for name, grade in collection.qrels.get(query, {}).items()
        if grade >= least_grade
    ]
    if not rows:
        raise InputError(f"{collection.name!r} has no judgements of grade {least_grade} or more: nothing to train on.")
    return replace(read_training_data(rows), name=collection.name)


def _table(source: Any, limit: int | None, named: set[str]) -> Table:
    if isinstance(source, (str, Path)):
        path = Path(source)
        if path.is_dir():
            raise InputError(f"{path} is a folder: give a file of training rows ({', '.join(TABLES)}).")
        table = read_table(path, NAMES | named, HEADERLESS)
        cut = len(table.rows) if limit is None else limit
        return replace(table, rows=table.rows[:cut], numbers=table.numbers[:cut])
    name = type(source).__name__ + " data"
    if hasattr(source, "to_dict") and hasattr(source, "notna"):  # a data frame
        source = source.astype(object).where(source.notna(), None).to_dict("records")
    try:
        rows = iter(source)
    except TypeError:
        raise InputError(f"Expected a file or rows, got {type(source).__name__}: give a path or a list.") from None
    return Table.of_rows(name, islice(rows, limit))


def _assemble(name: str, examples: Sequence[Example], counts: dict[str, int]) -> TrainingData:
    kept: dict[tuple[str, ...], Example] = {}
    for example in examples:
        texts = (example.query, *example.positives, *example.negatives)
        if texts in kept:
            counts["duplicate"] += 1
        else:
            kept[texts] = example
    if not kept:
        raise InputError(f"All {counts['rows']} rows of {name} lack a question or an answer: check its columns.")
    width = max(len(texts) for texts in kept)
    scores = [list(example.scores) for example in kept.values() if example.scores is not None]
    uneven = next((i for i, texts in enumerate(kept) if len(texts) != width), None) if scores else None
    if uneven is not None:
        texts = list(kept)[uneven]
        raise InputError(
            f"Expected as many documents in every row of {name}, since each has a score: others have {width - 1}, the "
            f"row of {texts[0][:60]!r} has {len(texts) - 1}; even them out."
        )
    names = ["query", "positive", *(f"negative_{i}" for i in range(1, width - 1))]
    padded = [texts + ("",) * (width - len(texts)) for texts in kept]
    by_column = {column: [texts[i] for texts in padded] for i, column in enumerate(names)}
    return TrainingData(by_column, scores or None, {**counts, "kept": len(kept)}, name)


def _count_over_long(data: TrainingData, encoder: Encoder, lengths: Mapping[str, int]) -> int:
    tokenizer = encoder.model.tokenizer
    over = 0
    for column, texts in data.columns.items():
        task = "query" if column == "query" else "document"
        limit = lengths.get(task, encoder.max_length(task))
        if limit is None or tokenizer is None:
            continue
        # Only texts that could be too long are tokenised: a token that is no special one is at least one byte.
        most = limit - tokenizer.num_special_tokens_to_add()
        long = [text for text in texts if len(text.encode()) > most]
        found = tokenizer(long, truncation=False)["input_ids"] if long else []
        over += sum(len(ids) > limit for ids in found)
    return over


def _key(text: str) -> str:
    return " ".join(text.lower().split())
