"""Training data: pairs, negatives and scored lists, read from anywhere, with what is wrong in them counted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from engine.collection import Collection
from engine.errors import InputError, NotFoundError
from engine.storage import replace_text

if TYPE_CHECKING:
    from engine.encoder import Encoder

Kind = Literal["pairs", "negatives", "scored"]
NAMES = {
    "query": ("query", "question", "anchor", "queries"),
    "positive": ("positive", "pos", "answer", "document", "text", "passage"),
    "scores": ("scores", "score", "label", "labels"),
}


@dataclass(frozen=True)
class TrainingData:
    """Rows of one query and its documents.

    Args:
        columns: "query", "positive", then "negative_1", "negative_2", ...: each a list of n texts. Rows of scored
            lists have their documents in the same columns, best first or not.
        scores: n lists of one teacher score a document, or None.
        counts: What reading and checking found: "rows", "kept", "empty", "duplicate", "over_long", "leaking".
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

    def check(self, encoder: Encoder | None = None, development: Collection | None = None) -> TrainingData:
        """Count over-long texts and drop rows that leak what the development collection asks or holds as answers.

        Args:
            encoder: Its lengths say what is over-long; None leaves that uncounted.
            development: Its judged questions and the documents that answer them must not be trained on.

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
            counts["over_long"] = _count_over_long(kept, encoder)
        return replace(kept, counts=counts)

    def rows(self) -> list[dict[str, Any]]:
        """The rows as dicts, with "scores" where there are some: what `read_training_data` takes."""
        rows: list[dict[str, Any]] = [
            dict(zip(self.columns, texts, strict=True)) for texts in zip(*self.columns.values(), strict=True)
        ]
        for row, scores in zip(rows, self.scores or (), strict=False):
            row["scores"] = scores
        return rows

    def save(self, path: str | Path) -> None:
        """Write the rows as JSON lines, to a file that is replaced as a whole."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        replace_text(Path(path), "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows()))

    def to_dataset(self) -> Any:
        """The rows as a `datasets.Dataset`, the columns in the order that losses expect."""
        from datasets import Dataset

        columns: dict[str, Any] = dict(self.columns)
        if self.scores is not None:
            columns["label"] = self.scores
        return Dataset.from_dict(columns)


def read_training_data(
    source: str | Path | Sequence[Mapping[str, Any]] | Any,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
) -> TrainingData:
    """Read rows with a question and one or more documents.

    Args:
        source: A .jsonl, .csv, .tsv or .parquet file, a `datasets.Dataset`, or a list of dicts.
        columns: Our name -> the source's, for "query", "positive", "negative", "scores"; others are found by name.
            A negative column may hold lists; every column that begins with "negative" is taken.
        limit: Rows to read at most.

    Returns:
        The rows without empty texts and duplicates, which are counted.

    Raises:
        NotFoundError: there is no such file.
        InputError: an unknown format, a column that is missing, a malformed line (named by its number), or no rows.
    """
    name, rows = _read_rows(source, limit)
    if not rows:
        raise InputError(f"{name} holds no rows: training needs at least two.")
    mapping = _find_columns(name, list(rows[0]), columns or {})
    kept, scores, counts, seen = [], [], {"rows": len(rows), "empty": 0, "duplicate": 0}, set()
    for number, row in enumerate(rows, start=1):
        texts = _row_texts(row, mapping)
        if any(not isinstance(text, str) or not text.strip() for text in texts):
            counts["empty"] += 1
            continue
        if tuple(texts) in seen:
            counts["duplicate"] += 1
            continue
        seen.add(tuple(texts))
        if mapping["scores"]:
            scores.append(_row_scores(row[mapping["scores"][0]], len(texts) - 1, number, name))
        kept.append(texts)
    if not kept:
        raise InputError(f"All {len(rows)} rows of {name} have an empty text: check its columns.")
    width = min(len(texts) for texts in kept)
    if mapping["scores"] and any(len(texts) != width for texts in kept):
        raise InputError(f"Expected as many documents in every row of {name}, since each has a score: even them out.")
    names = ["query", "positive", *(f"negative_{i}" for i in range(1, width - 1))]
    texts_by_column = {column: [texts[i] for texts in kept] for i, column in enumerate(names)}
    counts["kept"] = len(kept)
    return TrainingData(texts_by_column, scores if mapping["scores"] else None, counts, name)


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


def _read_rows(source: Any, limit: int | None) -> tuple[str, list[dict[str, Any]]]:
    if not isinstance(source, (str, Path)):
        rows = [dict(row) for row in (source if limit is None else list(source)[:limit])]
        return type(source).__name__ + " data", rows
    path = Path(source)
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}: give a .jsonl, .csv, .tsv or .parquet file of training rows.")
    if path.suffix in (".jsonl", ".json"):
        return str(path), _read_jsonl(path, limit)
    if path.suffix in (".csv", ".tsv", ".parquet"):
        import pandas as pd

        try:
            if path.suffix == ".parquet":
                frame = pd.read_parquet(path)
            else:
                frame = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", keep_default_na=False)
        except (ValueError, OSError) as error:
            raise InputError(f"{path} cannot be read ({str(error).splitlines()[0]}): correct it.") from None
        return str(path), frame.head(limit).to_dict("records") if limit else frame.to_dict("records")  # type: ignore
    raise InputError(f"Unknown format {path.suffix!r} of {path}: give .jsonl, .csv, .tsv or .parquet.")


def _read_jsonl(path: Path, limit: int | None) -> list[dict[str, Any]]:
    rows = []
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if limit is not None and len(rows) >= limit:
                break
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"Line {number} of {path} is not JSON ({error.msg}): correct or remove it.") from None
            if not isinstance(row, dict):
                raise InputError(f"Line {number} of {path} is no JSON object: write one object a line.")
            rows.append(row)
    return rows


def _find_columns(name: str, present: list[str], mapped: Mapping[str, str]) -> dict[str, list[str]]:
    unknown = next((key for key in mapped if key not in ("query", "positive", "negative", "scores")), None)
    if unknown is not None:
        raise InputError(f"Unknown role {unknown!r} in the columns: map query, positive, negative or scores.")
    missing = next((column for column in mapped.values() if column not in present), None)
    if missing is not None:
        raise InputError(f"{name} has no column {missing!r}: it has {', '.join(present)}.")
    found: dict[str, list[str]] = {}
    for role, candidates in NAMES.items():
        chosen = [mapped[role]] if role in mapped else [column for column in candidates if column in present][:1]
        if not chosen and role != "scores":
            raise InputError(
                f"{name} has no column for the {role}: name one {' or '.join(candidates[:3])}, or map it (its columns "
                f"are {', '.join(present)})."
            )
        found[role] = chosen
    taken = {column for chosen in found.values() for column in chosen}
    negatives = [column for column in present if column.startswith(("negative", "neg_")) or column == "neg"]
    found["negative"] = [mapped["negative"]] if "negative" in mapped else [c for c in negatives if c not in taken]
    return found


def _row_texts(row: Mapping[str, Any], mapping: Mapping[str, list[str]]) -> list[Any]:
    texts: list[Any] = []
    for role in ("query", "positive", "negative"):
        for column in mapping[role]:
            value: Any = row.get(column)
            value = value.tolist() if hasattr(value, "tolist") else value  # Parquet gives arrays
            texts += value if isinstance(value, list) else list(value) if isinstance(value, tuple) else [value]
    return texts


def _row_scores(value: Any, documents: int, number: int, name: str) -> list[float]:
    try:
        scores = [float(score) for score in (json.loads(value) if isinstance(value, str) else value)]
    except (TypeError, ValueError):
        raise InputError(f"Row {number} of {name} has scores {value!r}: give a list of numbers.") from None
    if len(scores) != documents or not all(map(math.isfinite, scores)):
        raise InputError(
            f"Row {number} of {name} has {len(scores)} scores for {documents} documents, or one that is not finite: "
            "give one number a document."
        )
    return scores


def _count_over_long(data: TrainingData, encoder: Encoder) -> int:
    tokenizer = encoder.model.tokenizer
    over = 0
    for column, texts in data.columns.items():
        limit = encoder.max_length("query" if column == "query" else "document")
        if limit is None or tokenizer is None:
            continue
        # Only texts that could be too long are tokenised: a token is at least one character.
        long = [text for text in texts if len(text) > limit]
        lengths = tokenizer(long, truncation=False)["input_ids"] if long else []
        over += sum(len(ids) > limit for ids in lengths)
    return over


def _key(text: str) -> str:
    return " ".join(text.lower().split())
