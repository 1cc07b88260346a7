"""A hundred thousand entries of a dictionary, and questions about known ones: real text to measure large indexes on.

The documents are the entries of Debian's package dict-gcide (the GNU Collaborative International Dictionary of
English), the questions glosses of dict-wn (WordNet), each without the headword that both share: the answer to a
question is the entry of that headword. Packages are fetched by name with Debian's own client and unpacked in the cache
folder; nothing of them is installed or kept in the repository.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.embedded_head.debian_texts import fetch
from engine import Collection

DOCUMENTS, QUESTIONS = 100_000, 500
FEWEST_WORDS = 6  # of an entry or a gloss
SENSE = re.compile(r"^\s*(?:(?:n|v|adj|adv)\s+)?1?:?\s*")


def entries(path: Path) -> Iterator[tuple[str, str]]:
    """Headword and text of each entry of a file for dictd: headwords stand at the margin, text is indented."""
    text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
    for entry in re.split(r"\n(?=\S)", text):
        head, _, body = entry.partition("\n")
        word = re.sub(r"\s*\\.*", "", head).strip()
        if word and body.startswith((" ", "\n")) and len(head) < 80 and not head.startswith("00-"):
            yield word, entry[len(word) :]


def _plain(text: str) -> str:
    """Without pronunciations, origins and marks of the editors."""
    text = re.sub(r"\\[^\\]*\\,?", " ", text)
    for _ in range(2):  # brackets stand inside brackets
        text = re.sub(r"\[[^\[\]]*\]", " ", text)
    return " ".join(re.sub(r"\{|\}|--\w+\.?", " ", text).split())


def _gloss(text: str) -> str:
    """The first sense of an entry of WordNet, without its examples and related words."""
    first = re.split(r"\n\s+(?:n|v|adj|adv)? ?\d+: |\[", text.strip())[0]
    return " ".join(SENSE.sub("", first.split(';  "')[0].split('; "')[0]).split())


def collection(folder: Path) -> Collection:
    """The dictionary as a collection with one relevant document a question.

    Args:
        folder: Where packages are kept.

    Returns:
        Documents "gcide/0" and so on, questions "wordnet/0" and so on.

    Raises:
        NotFoundError: Debian's client is not here, or does not find a package.
    """
    files = {name: next(fetch(name, folder).rglob("*.dict.dz")) for name in ("dict-gcide", "dict-wn")}
    documents: dict[str, str] = {}
    places: dict[str, list[str]] = {}
    for word, body in entries(files["dict-gcide"]):
        text = _plain(f"{word}. {body}")
        if len(text.split()) >= FEWEST_WORDS and len(documents) < DOCUMENTS:
            name = f"gcide/{len(documents)}"
            documents[name] = text
            places.setdefault(word.lower(), []).append(name)
    asked = {}
    for word, body in entries(files["dict-wn"]):
        gloss, found = _gloss(body), places.get(word.lower(), [])
        if len(found) == 1 and len(gloss.split()) >= FEWEST_WORDS and word.lower() not in gloss.lower():
            asked.setdefault(found[0], gloss)
    chosen = np.random.default_rng(0).choice(len(asked), min(QUESTIONS, len(asked)), replace=False)
    pairs = [list(asked.items())[i] for i in sorted(chosen.tolist())]
    queries = {f"wordnet/{number}": gloss for number, (_, gloss) in enumerate(pairs)}
    qrels = {f"wordnet/{number}": {name: 1} for number, (name, _) in enumerate(pairs)}
    return Collection(documents, queries, qrels, "dictionary")
