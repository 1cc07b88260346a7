"""The benchmarks that are known by name: their tasks, how they are scored, and what reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError
from engine.evaluation import SameIds
from engine.metrics import DEFAULT_METRICS
from engine.reading.benchmarks import BEIR, LAYOUTS

PREFIXES = ("mteb", "irds")  # benchmarks of one task, named behind a colon
IMAGES = "vidore"
VIDORE = {  # task -> its dataset on the hub
    "arxivqa": "mteb/arxivqa_test_subsampled_beir", "docvqa": "mteb/docvqa_test_subsampled_beir",
    "infovqa": "mteb/infovqa_test_subsampled_beir", "tabfquad": "mteb/tabfquad_test_subsampled_beir",
    "tatdqa": "mteb/tatdqa_test_beir", "shiftproject": "mteb/shiftproject_test_beir",
    "artificial_intelligence": "mteb/syntheticDocQA_artificial_intelligence_test_beir",
    "energy": "mteb/syntheticDocQA_energy_test_beir",
    "government_reports": "mteb/syntheticDocQA_government_reports_test_beir",
    "healthcare_industry": "mteb/syntheticDocQA_healthcare_industry_test_beir",
    "esg_reports_v2": "vidore/esg_reports_v2", "economics_reports_v2": "vidore/economics_reports_v2",
    "biomedical_lectures_v2": "vidore/biomedical_lectures_v2",
}  # fmt: skip


@dataclass(frozen=True)
class Benchmark:
    """A benchmark by name.

    Args:
        name: What people call it.
        about: A sentence for people.
        tasks: Those that there are.
        metrics: What its tasks are scored by, the first being the one of its papers.
        same_ids: What a document with its query's id counts as; see `engine.evaluate`.
        place: Its dataset on the hub, or the owner of its datasets.
        at_one: Tasks with a single right document that its paper scores by the first result alone.
    """

    name: str
    about: str
    tasks: tuple[str, ...]
    metrics: tuple[str, ...] = DEFAULT_METRICS
    same_ids: SameIds = "auto"
    place: str = ""
    at_one: tuple[str, ...] = ()

    def source(self, task: str, place: str = "") -> str:
        """The name of a task's collection for `load_collection`, or for the reader of pages."""
        if self.name in PREFIXES:
            return f"{self.name}:{task}"
        return f"{self.name}:{task}" + (f"@{Path(place).resolve() if Path(place).is_dir() else place}" if place else "")

    def datasets(self, task: str, place: str = "") -> list[tuple[str, tuple[str, ...]]]:
        """What a task's reader fetches: names of datasets, and which parts of them."""
        if self.name in PREFIXES:
            return []
        home = place or self.place
        if self.name == "beir":
            return [(str(Path(home) / task) if Path(home).is_dir() else f"{home}/{BEIR[task]}", ())]
        if self.name == IMAGES:
            return [(page_dataset(task, place), ())]
        if self.name == "bright":
            domain, _, variant = task.partition("/")
            return [(home, (f"{'long_' if variant else ''}documents/{domain}", f"examples/{domain}"))]
        return [(home, (task.partition("/")[0],) if self.name == "longembed" else ())]


def page_dataset(task: str, place: str) -> str:
    """The dataset of a task of ViDoRe: a folder of its name in a place, a dataset of an owner, or the known one."""
    if place:
        return str(Path(place) / task) if Path(place).is_dir() else f"{place}/{task}"
    return VIDORE.get(task, task)


BENCHMARKS = {
    entry.name: entry
    for entry in (
        Benchmark("nanobeir", "Thirteen small samples of BEIR, 50 queries each.", LAYOUTS["nanobeir"].tasks,
                  place=LAYOUTS["nanobeir"].place),
        Benchmark("beir", "The public collections of BEIR.", LAYOUTS["beir"].tasks, same_ids="leave out",
                  place=LAYOUTS["beir"].place),
        Benchmark("bright", "Questions whose answer takes reasoning, with documents that each excludes.",
                  LAYOUTS["bright"].tasks, same_ids="keep", place=LAYOUTS["bright"].place),
        Benchmark("longembed", "Documents of up to 32,768 tokens.", LAYOUTS["longembed"].tasks, same_ids="keep",
                  place=LAYOUTS["longembed"].place,
                  at_one=tuple(task for task in LAYOUTS["longembed"].tasks if "/" in task)),
        Benchmark(IMAGES, "Pages as pictures, for models that read images.", tuple(VIDORE), ("ndcg@5", "recall@5"),
                  "keep"),
    )
}  # fmt: skip


def find_benchmark(name: str) -> Benchmark:
    """A benchmark by its name; of "mteb:TASK" and "irds:NAME" one with that task alone.

    Raises:
        InputError: none of that name; the sentence lists those that there are.
    """
    kind, colon, task = name.partition(":")
    if kind in PREFIXES and task:
        return Benchmark(kind, f"One task of {kind}.", (task,))
    if colon or name not in BENCHMARKS:
        known = ", ".join([*BENCHMARKS, "mteb:TASK", "irds:NAME"])
        raise InputError(f"No benchmark is called {name!r}: choose among {known}.")
    return BENCHMARKS[name]


def choose_tasks(benchmark: Benchmark, asked: list[str] | None) -> tuple[str, ...]:
    """The tasks to run.

    Args:
        benchmark: Which has them.
        asked: Names of them, or None for all. A task of ViDoRe may be any dataset of its layout, "owner/name".

    Raises:
        InputError: it has no such task; the sentence lists those that there are.
    """
    if not asked:
        return benchmark.tasks
    chosen = tuple(dict.fromkeys(task.strip() for text in asked for task in text.split(",") if task.strip()))
    free = benchmark.name == IMAGES
    wrong = next((task for task in chosen if task not in benchmark.tasks and not (free and "/" in task)), None)
    if wrong is not None or not chosen:
        raise InputError(f"{benchmark.name} has no task {wrong!r}: choose among {', '.join(benchmark.tasks)}.")
    return chosen
