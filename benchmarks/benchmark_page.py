"""One benchmark run end to end in each layout, on data written here, into docs/benchmarks.md.

`python -m benchmarks.benchmark_page --output docs/benchmarks.md` writes the embedded collection in the layout of every
benchmark, runs `workbench benchmark` on each as a person would, and puts what it printed between the page's markers.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import layouts
from engine import Collection, load_collection
from engine.sampling import sample

BEGIN, END = "<!-- benchmark runs: generated, do not edit -->", "<!-- end of benchmark runs -->"
WIDTH = "150"


def run(*words: str) -> str:
    """What `workbench` prints for some words, both streams."""
    from workbench.cli import main, output

    both = io.StringIO()
    for console in (output.out, output.err):
        console.file = both
        console.width = int(WIDTH)
    with contextlib.suppress(SystemExit):
        main(words)
    return both.getvalue().rstrip()


def pages(folder: Path, collection: Collection) -> Path:
    """Texts of a collection printed on pages, in ViDoRe's layout."""
    from apps.images import printed_page
    from engine import Encoder

    encoder, numbers = Encoder.load("embedded", device="cpu"), {}
    drawn: dict[int, Any] = {}
    for number, (name, text) in enumerate(collection.documents.items()):
        numbers[name], drawn[number] = number, printed_page(encoder, text).image
    asked = dict(enumerate(collection.queries.values()))
    judged = [
        {"query-id": place, "corpus-id": numbers[name], "score": grade}
        for place, query in enumerate(collection.queries)
        for name, grade in collection.qrels[query].items()
    ]
    return layouts.vidore(folder, {"docvqa": (drawn, asked, judged)})


def register_dataset(collection: Collection) -> None:
    """Make the collection known to ir_datasets in this process, as local/embedded."""
    import ir_datasets
    from ir_datasets.formats import BaseDocs, BaseQrels, BaseQueries, GenericDoc, GenericQuery, TrecQrel

    class Docs(BaseDocs):
        def docs_iter(self) -> Any:
            return (GenericDoc(name, text) for name, text in collection.documents.items())

        def docs_cls(self) -> Any:
            return GenericDoc

    class Queries(BaseQueries):
        def queries_iter(self) -> Any:
            return (GenericQuery(name, text) for name, text in collection.queries.items())

        def queries_cls(self) -> Any:
            return GenericQuery

    class Qrels(BaseQrels):
        def qrels_iter(self) -> Any:
            return (TrecQrel(q, d, g, "0") for q, grades in collection.qrels.items() for d, g in grades.items())

        def qrels_cls(self) -> Any:
            return TrecQrel

    ir_datasets.registry.register("local/embedded", ir_datasets.Dataset(Docs(), Queries(), Qrels()))


def register_task(folder: Path) -> None:
    """Make the data of a task known to mteb in this process, as LocalEmbedded."""
    import mteb

    made = layouts.mteb_task("LocalEmbedded", folder)
    sys.modules[mteb.get_task.__module__]._TASKS_REGISTRY["LocalEmbedded"] = made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=0, help="only a part of the collection; 0 takes all of it")
    parser.add_argument("--only", action="append", help="runs by the name of their benchmark; repeatable")
    parser.add_argument("--output", type=Path, help="a page with the markers of this part")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp())
    os.environ["WORKBENCH_HOME"] = str(scratch / "home")
    os.environ["HF_DATASETS_CACHE"] = str(scratch / "datasets")  # before the library is imported
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    try:
        text = made(scratch, options.documents, options.only)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if options.output is None:
        print(text)
        return
    page = options.output.read_text(encoding="utf-8")
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    options.output.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def made(scratch: Path, documents: int, only: list[str] | None = None) -> str:
    """All runs, each with its command and what that printed."""
    whole = load_collection("embedded")
    whole = replace(sample(whole, documents) if documents else whole, notes=())
    few = replace(sample(whole, 60, 12), notes=())
    relevant = {query: [name for name, grade in whole.qrels[query].items() if grade > 0] for query in whole.queries}
    some = list(whole.documents)
    excluded = {query: [some[place] for place in range(3) if some[place] not in relevant[query]]
                for query in list(whole.queries)[:5]}  # fmt: skip
    data = scratch / "data"
    layouts.nanobeir(data / "nanobeir", {"scifact": whole, "nq": few})
    layouts.beir(data / "beir", {"scifact": whole})
    layouts.bright(data / "bright", {"pony": whole}, excluded)
    layouts.longembed(data / "longembed", {"qmsum": few, "passkey": few}, (256, 512))
    model = data / "colpali"
    runs: list[tuple[str, ...]] = [
        ("nanobeir", "--tasks", "scifact,nq", "--index", "plaid"),
        ("beir", "--tasks", "scifact", "--system", "bm25:k=1000 > maxsim"),
        ("bright", "--tasks", "pony,pony/long"),
        ("longembed", "--tasks", "qmsum,passkey/256,passkey/512"),
        ("vidore", "--tasks", "docvqa", "--model", str(model)),
        ("mteb:LocalEmbedded", "--index", "plaid:bits=2"),
        ("irds:local/embedded",),
    ]
    runs = [words for words in runs if not only or words[0].partition(":")[0] in only]
    kinds = {words[0].partition(":")[0] for words in runs}
    if "vidore" in kinds:
        from benchmarks.vision_checkpoints import colpali

        pages(data / "vidore", few)
        colpali(model)
    if "mteb" in kinds:
        register_task(layouts.mteb_data(data / "mteb", whole))
    if "irds" in kinds:
        register_dataset(whole)
    parts = []
    for words in runs:
        place = data / words[0]
        given = (*words, *(("--data", str(place)) if place.is_dir() else ()))
        shown = run("benchmark", *given).replace(str(data), "DATA").replace(str(scratch), "~")
        told = [f'"{word}"' if " " in word else word for word in given]
        lines = "\n".join(line.rstrip() for line in shown.splitlines())
        print(shown, file=sys.stderr, flush=True)
        parts.append(f"```\n$ workbench benchmark {' '.join(told).replace(str(data), 'DATA')}\n{lines}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    main()
