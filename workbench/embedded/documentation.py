"""The embedded collection: the documentation of the Python standard library and NumPy, as installed here."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy

from engine.collection import Collection
from engine.errors import UnsupportedError
from engine.shipped import shipped
from workbench.embedded.docstrings import passage
from workbench.embedded.documented_names import CLASSES_WITH_METHODS, NUMPY_MODULES, STANDARD_MODULES
from workbench.embedded.judgements import read_judgements, read_questions

ASSETS = shipped("assets") / "embedded"

FEWEST_WORDS = 20  # below, a document is lent context
_SAYS_NOTHING = re.compile(r"\w+(\([^)]*\))?\.?")  # a generated signature, or only the name again


def load() -> Collection:
    """Build the embedded collection: the documents of this installation with the project's questions and judgements.

    Judgements of documents that this Python or NumPy version does not have are left out, and so are questions that
    have no judged document left; the notes count both.

    Returns:
        The collection, named "embedded".

    Raises:
        CorruptDataError: the questions or judgements cannot be read.
        UnsupportedError: this program cannot start a Python interpreter.
    """
    documents = read_documents()
    questions = read_questions(ASSETS / "questions.jsonl")
    judged = read_judgements(ASSETS / "judgements.tsv")
    qrels = {query: {key: grade for key, grade in of.items() if key in documents} for query, of in judged.items()}
    qrels = {query: grades for query, grades in qrels.items() if query in questions and grades}
    notes = [f"Documentation strings of Python {platform.python_version()} and NumPy {numpy.__version__}."]
    if dropped := sum(map(len, judged.values())) - sum(map(len, qrels.values())):
        notes.append(f"{dropped} judgements left out: their documents do not exist in these versions.")
    if unjudged := len(questions) - len(qrels):
        notes.append(f"{unjudged} questions left out: none of their judged documents exists in these versions.")
    queries = {query: text for query, text in questions.items() if query in qrels}
    return Collection(documents, queries, qrels, "embedded", tuple(notes))


def read_documents() -> dict[str, str]:
    """Read the documentation strings of the installed Python standard library and NumPy, one document per public name.

    A document is a module, a class or a function, and the methods of some forty classes whose methods are looked up
    by name (`str.split`, `pathlib.Path.glob`, `numpy.random.Generator.choice`). What is reachable under several names
    appears once. The first call takes one or two seconds in a second interpreter; later calls return a copy.

    Returns:
        Document id (the dotted public name) to text of about 20 to 200 words, sorted by id.

    Raises:
        UnsupportedError: this program cannot start a Python interpreter.
    """
    return dict(_read())


@lru_cache(maxsize=1)
def _read() -> tuple[tuple[str, str], ...]:
    request = {
        "modules": (STANDARD_MODULES + NUMPY_MODULES).split(),
        "classes": CLASSES_WITH_METHODS.split(),
        "path": str(Path(numpy.__file__).parents[1]),  # so that it reads the NumPy that is in use here
    }
    found = _harvest_in_another_interpreter(request)
    homes = {record["name"]: _first_sentence(record["docstring"]) for record in found["homes"]}
    kept: dict[tuple[str, str], dict[str, str]] = {}  # numpy.ma.zeros is numpy.zeros; str.rsplit is not str.split
    for record in sorted(found["things"], key=lambda record: (record["name"].count("."), record["name"])):
        body = passage(record["docstring"])
        if body and not _SAYS_NOTHING.fullmatch(body):
            kept.setdefault((record["name"].rpartition(".")[2], body), record)
    texts = {record["name"]: _text(record, body, homes) for (_, body), record in kept.items()}
    return tuple(sorted(texts.items()))


def _harvest_in_another_interpreter(request: dict[str, object]) -> dict[str, list[dict[str, str]]]:
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("harvest.py"))]
    try:
        done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True)
        return json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        raise UnsupportedError(
            f"Expected {sys.executable!r} to be a Python interpreter that can read its own documentation, got "
            f"{reason.strip().splitlines()[-1] if reason.strip() else 'no answer'}: use another collection."
        ) from error


def fingerprint(documents: dict[str, str]) -> str:
    """Hash documents, so that a cache knows when another Python or NumPy version changed them.

    Args:
        documents: id to text.

    Returns:
        The SHA-256 of ids and texts in sorted order, as 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, text in sorted(documents.items()):
        for part in (name, text):
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "little"))
            digest.update(encoded)
    return digest.hexdigest()


def _text(record: dict[str, str], body: str, homes: dict[str, str]) -> str:
    """Put the name before the passage and lend a short passage what the object itself and its module tell.

    The name is in front because people type it, and in words where it is compound because a tokenizer does not know
    that `ThreadPoolExecutor` is about threads.
    """
    text = f"{_title(record['name'])}: {body}"
    for addition in (record["details"], _context(record["name"], homes)):
        if addition and len(text.split()) < FEWEST_WORDS and "Parameters:" not in text:
            text = f"{text if text[-1] in '.!?:)' else text + '.'} {addition}"
    return text


def _title(name: str) -> str:
    last = name.rpartition(".")[2]
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+", " ", last).strip().lower()
    return f"{name} ({words})" if " " in words else name


def _context(name: str, homes: dict[str, str]) -> str:
    """The first sentence about the module or class that the name belongs to."""
    while name := name.rpartition(".")[0]:
        if homes.get(name):
            return f"({name}: {homes[name]}.)"
    return ""


def _first_sentence(docstring: str) -> str:
    sentence = re.split(r"(?<=[.!?])\s", passage(docstring), maxsplit=1)[0].rstrip(".")
    return sentence if 3 <= len(sentence.split()) < 30 else ""
