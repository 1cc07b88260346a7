"""Files as TREC writes them: the rankings of a run, and judgements."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from engine.collection import Qrels
from engine.errors import InputError
from engine.files import require_place
from engine.letters import clean
from engine.reading.lines import Lines, reading
from engine.retrieval import Ranking

COLUMNS = "query Q0 document rank score name"


def read_run(path: str | Path) -> dict[str, Ranking]:
    """The rankings of a run file: `query Q0 document rank score name`, a line a document.

    Documents are ordered by score, as trec_eval does; equal scores keep the order of the file, since a file that was
    rounded for writing holds the order that the system had in its lines.

    Args:
        path: The file.

    Returns:
        Query -> ranking, in the order of the file.

    Raises:
        InputError: another form, a score that is no number, or a document twice for a query, named by its line.
        NotFoundError: no such file.
    """
    source, rows = Path(path), {}
    with reading(source):
        for number, line in Lines(source):
            cells = line.split("\t") if line.count("\t") == 5 else line.split()
            where = f"Line {number} of {source}"
            if not cells:
                continue
            if len(cells) != 6:
                raise InputError(
                    f"{where} has {len(cells)} columns, expected the six of a run ({COLUMNS}): correct it."
                )
            query, document, score = clean(cells[0].strip()), clean(cells[2].strip()), _number(cells[4], where)
            if document in rows.setdefault(query, {}):
                raise InputError(f"{where} ranks document {document!r} twice for query {query!r}: keep one of them.")
            rows[query][document] = score
    if not rows:
        raise InputError(f"{source} holds no rankings: expected lines of {COLUMNS}.")
    return {query: _ranked(scores) for query, scores in rows.items()}


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where} has the score {text!r}, expected a number: correct or remove it.")
    return value


def _ranked(scores: Mapping[str, float]) -> Ranking:
    ordered = sorted(scores.items(), key=lambda entry: -entry[1])  # stable: equal scores stay as they were
    return Ranking([name for name, _ in ordered], np.array([score for _, score in ordered], np.float32))


def write_run(rankings: Mapping[str, Ranking], path: str | Path, name: str) -> Path:
    """Write rankings as a run file.

    Args:
        rankings: Query -> ranking.
        path: The file to write.
        name: Of the system, in the last column.

    Returns:
        The path.

    Raises:
        InputError: an id has a space, which the format cannot hold, or the place cannot be written.
    """
    lines = (
        f"{query} Q0 {document} {rank} {float(score):.6f} {name}\n"
        for query, ranking in rankings.items()
        for rank, (document, score) in enumerate(zip(ranking.ids, ranking.scores, strict=True), start=1)
        if _fit(query, document)
    )
    return _write(path, lines)


def write_qrels(qrels: Qrels, path: str | Path) -> Path:
    """Write judgements as TREC has them: `query 0 document grade`.

    Args:
        qrels: query -> {document: grade}.
        path: The file to write.

    Returns:
        The path.

    Raises:
        InputError: an id has a space, which the format cannot hold, or the place cannot be written.
    """
    lines = (
        f"{query} 0 {document} {grade}\n"
        for query, grades in qrels.items()
        for document, grade in grades.items()
        if _fit(query, document)
    )
    return _write(path, lines)


def check_ids(names: Iterable[str]) -> None:
    """Refuse ids that TREC files cannot hold, before the work whose result is written to one.

    Raises:
        InputError: an id has a space.
    """
    all(map(_fit, names))


def _fit(*names: str) -> bool:
    if any(character.isspace() for name in names for character in name):
        listed = " or ".join(map(repr, names))
        raise InputError(f"TREC files cannot hold the id {listed}: it has a space in it; rename it.")
    return True


def _write(path: str | Path, lines: Iterable[str]) -> Path:
    require_place(Path(path))
    try:
        Path(path).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): choose another place.") from None
    return Path(path)
