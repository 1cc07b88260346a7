"""Tasks of benchmarks by name, each benchmark in the layout that its authors gave it: "bright:biology/long".

A name is `BENCHMARK:TASK`, with `@PLACE` behind it for another dataset of the hub, or a folder, in the same layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.collection import Collection
from engine.errors import InputError
from engine.letters import clean
from engine.reading.assembly import assemble
from engine.reading.folders import is_beir, read_beir
from engine.reading.hub import read_hub, rows_of
from engine.reading.judgements import Judgements
from engine.reading.mteb_tasks import read_task
from engine.reading.rows import Table
from engine.reading.texts import Texts, gather_documents, gather_queries

NANO = {
    "climatefever": "NanoClimateFEVER", "dbpedia": "NanoDBPedia", "fever": "NanoFEVER", "fiqa2018": "NanoFiQA2018",
    "hotpotqa": "NanoHotpotQA", "msmarco": "NanoMSMARCO", "nfcorpus": "NanoNFCorpus", "nq": "NanoNQ",
    "quoraretrieval": "NanoQuoraRetrieval", "scidocs": "NanoSCIDOCS", "arguana": "NanoArguAna",
    "scifact": "NanoSciFact", "touche2020": "NanoTouche2020",
}  # fmt: skip
BEIR = {  # task -> the dataset of mteb on the hub, which holds the files of BEIR in a form that needs no code
    "trec-covid": "trec-covid", "nfcorpus": "nfcorpus", "nq": "nq", "hotpotqa": "hotpotqa", "fiqa": "fiqa",
    "arguana": "arguana", "webis-touche2020": "touche2020", "quora": "quora", "dbpedia-entity": "dbpedia",
    "scidocs": "scidocs", "fever": "fever", "climate-fever": "climate-fever", "scifact": "scifact",
    "msmarco": "msmarco",
}  # fmt: skip
BRIGHT = ("biology", "earth_science", "economics", "psychology", "robotics", "stackoverflow", "sustainable_living",
          "leetcode", "pony", "aops", "theoremqa_questions", "theoremqa_theorems")  # fmt: skip
LONG = ("biology", "earth_science", "economics", "psychology", "robotics", "stackoverflow", "sustainable_living",
        "pony")  # fmt: skip
LONG_EMBED = ("narrativeqa", "qmsum", "2wikimqa", "summ_screen_fd", "passkey", "needle")
LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768)  # of passkey and needle
WITHOUT_EXCLUDED = {"", "N/A"}  # how BRIGHT writes that nothing is excluded


@dataclass(frozen=True)
class Layout:
    """How the tasks of a benchmark are stored.

    Args:
        place: Name of its dataset on the hub, or of an owner whose datasets are its tasks.
        tasks: Those that there are, as names say them.
        read: Reads one: its task, the place and the split that was asked for.
    """

    place: str
    tasks: tuple[str, ...]
    read: Callable[[str, str, str | None], Collection]


def is_benchmark(name: str) -> bool:
    """Whether a name is that of a benchmark's task."""
    return name.partition(":")[0] in LAYOUTS and ":" in name


def read_benchmark(name: str, split: str | None) -> Collection:
    """The collection of a task.

    Args:
        name: Such as "nanobeir:scifact", "bright:biology/long", "longembed:passkey/4096" or "mteb:SciFact".
        split: Of the judgements, where the layout has several.

    Returns:
        The collection; what a benchmark leaves out of the ranking of a query stands in `excluded`.

    Raises:
        InputError: no such task; the sentence lists those that there are.
        NotFoundError: its data are not cached and cannot be fetched.
    """
    kind, _, rest = name.partition(":")
    task, _, place = rest.partition("@")
    layout = LAYOUTS[kind]
    known = {entry.partition("/")[0] for entry in layout.tasks}
    if layout.tasks and task.partition("/")[0] not in known:
        raise InputError(f"{kind} has no task {task!r}: choose among {', '.join(layout.tasks)}.")
    found = layout.read(task, place or layout.place, split)
    return replace(found, name=f"{kind}:{task}")


def _nanobeir(task: str, place: str, split: str | None) -> Collection:
    """NanoBEIR: configurations corpus, queries and qrels with a split a task; its judgements have no grades."""
    if split is not None:
        raise InputError(f"The task nanobeir:{task} is a split of its dataset: leave the split out.")
    where, judged = f"nanobeir:{task}", Judgements()
    corpus, asked, pairs = (rows_of(place, part, NANO[task]) for part in ("corpus", "queries", "qrels"))
    documents = gather_documents([Table.of_rows(f"the corpus of {where}", corpus)])
    for row in pairs:
        names = row["corpus-id"] if isinstance(row["corpus-id"], list) else [row["corpus-id"]]
        for name in names:
            judged.add(row["query-id"], name, 1, f"A judgement of {where}")
    return assemble(where, documents, gather_queries([Table.of_rows(f"the queries of {where}", asked)]), judged)


def _beir(task: str, place: str, split: str | None) -> Collection:
    folder = Path(place) / task
    if folder.is_dir() and is_beir(folder) and not (folder / "README.md").exists():  # unpacked from a zip of BEIR
        return read_beir(folder, {}, split or _usual(task))
    local = folder.is_dir()
    return read_hub(str(folder) if local else f"{place}/{BEIR[task]}", {}, split or _usual(task))


def _usual(task: str) -> str | None:
    return "dev" if task == "msmarco" else None  # the queries that BEIR counts for it


def _bright(task: str, place: str, split: str | None) -> Collection:
    """BRIGHT: examples and documents, a split a domain; which documents a query excludes stands in its example."""
    domain, _, variant = task.partition("/")
    if split is not None or variant not in ("", "long"):
        raise InputError(f"The task bright:{task} names its domain and nothing or /long: leave the rest out.")
    if variant and domain not in LONG:
        raise InputError(f"bright:{domain} has no long documents: those that have are {', '.join(LONG)}.")
    gold = "gold_ids_long" if variant else "gold_ids"
    documents, queries, judged = Texts(), Texts("queries"), Judgements()
    for row in rows_of(place, f"{variant}_documents".lstrip("_"), domain):
        documents.add(row["id"], None, row["content"], f"A document of bright:{task}")
    excluded: dict[str, tuple[str, ...]] = {}
    for row in rows_of(place, "examples", domain):
        queries.add(row["id"], None, row["query"], f"A query of bright:{task}")
        for name in row[gold] or ():
            judged.add(row["id"], name, 1, f"A judgement of bright:{task}")
        left_out = tuple(name for name in row.get("excluded_ids") or () if name not in WITHOUT_EXCLUDED)
        if left_out:
            excluded[clean(row["id"])] = left_out
    found = assemble(f"bright:{task}", documents, queries, judged)
    kept = {query: names for query, names in excluded.items() if query in found.queries}
    return replace(found, excluded=kept)


def _longembed(task: str, place: str, split: str | None) -> Collection:
    """LongEmbed: a configuration a task, with corpus, queries and qrels as its splits."""
    name, _, length = task.partition("/")
    if split is not None or (length and not (length.isdecimal() and int(length) in LENGTHS)):
        raise InputError(
            f"The task longembed:{task} names its length, one of {', '.join(map(str, LENGTHS))}, and no split: correct "
            "it."
        )
    if bool(length) != (name in ("passkey", "needle")):
        raise InputError(f"Only passkey and needle have a length, as in longembed:passkey/256, got {task!r}.")
    parts = {part: rows_of(place, name, part, f"{name}/{part}.jsonl") for part in ("corpus", "queries", "qrels")}

    def fits(row: Mapping[str, Any]) -> bool:
        return not length or int(row["context_length"]) == int(length)

    where = f"longembed:{task}"
    documents, judged = Texts(), Judgements()
    for row in filter(fits, parts["corpus"]):
        documents.add(row["doc_id"], None, row["text"], f"A document of {where}")
    queries = gather_queries([Table.of_rows(where, filter(fits, parts["queries"]))])
    for row in parts["qrels"]:
        if row["qid"] in queries.texts and row["doc_id"] in documents.texts:
            judged.add(row["qid"], row["doc_id"], row.get("score", 1), f"A judgement of {where}")
    return assemble(where, documents, queries, judged)


def _mteb(task: str, place: str, split: str | None) -> Collection:
    if place:
        raise InputError(f"A task of mteb knows its own data, so @{place} means nothing: leave it out.")
    return read_task(task, split)


LAYOUTS = {
    "nanobeir": Layout("sentence-transformers/NanoBEIR-en", tuple(NANO), _nanobeir),
    "beir": Layout("mteb", tuple(BEIR), _beir),
    "bright": Layout("xlangai/BRIGHT", (*BRIGHT, *(f"{name}/long" for name in LONG)), _bright),
    "longembed": Layout(
        "dwzhu/LongEmbed",
        (*LONG_EMBED[:4], *(f"{name}/{length}" for name in LONG_EMBED[4:] for length in LENGTHS)), _longembed,
    ),
    "mteb": Layout("", (), _mteb),
}  # fmt: skip
