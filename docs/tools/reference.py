"""The pages of the reference: which names stand on which page; mkdocstrings writes them from the source."""

from __future__ import annotations

from benchmarks.readme import tree

# page: (title, what it is about, names)
PAGES = {
    "engine": (
        "The engine",
        "What `from engine import ...` gives.",
        "engine.encoder.Encoder engine.embeddings.TokenEmbeddings engine.collection.Collection "
        "engine.reading.load_collection engine.maxsim.exact.maxsim engine.pooling.pool "
        "engine.indexes.create_index engine.indexes.open_index engine.retrieval.rerank engine.retrieval.Ranking "
        "engine.evaluation.evaluate engine.evaluation.Evaluation engine.explain.explain engine.explain.Alignment",
    ),
    "indexes": (
        "Indexes",
        "One contract, many kinds: each with its settings.",
        "engine.indexes.base engine.indexes.kind engine.indexes.exact.ExactSettings "
        "engine.indexes.plaid.settings.PlaidSettings engine.indexes.plaid.index.PlaidIndex "
        "engine.indexes.hnsw.HnswSettings engine.indexes.muvera.MuveraIndexSettings "
        "engine.indexes.fast_plaid.FastPlaidSettings engine.indexes.lancedb.LanceSettings "
        "engine.indexes.qdrant.QdrantSettings engine.indexes.xtr_warp.XtrWarpSettings engine.indexes.trace",
    ),
    "scoring": (
        "Scoring",
        "MaxSim on processors and accelerators, its gradient, and the other scorers.",
        "engine.maxsim.exact engine.maxsim.topk engine.maxsim.quantised engine.maxsim.device "
        "engine.maxsim.differentiable engine.maxsim.scorers engine.maxsim.scorer_kinds "
        "engine.maxsim.learned_scorers engine.maxsim.reference engine.muvera.encoding",
    ),
    "pooling": (
        "Pooling",
        "Fewer vectors a document.",
        "engine.pooling engine.pooling.settings engine.pooling.differentiable",
    ),
    "evaluation": (
        "Evaluation",
        "Metrics, intervals, tests and samples.",
        "engine.evaluation engine.metrics engine.statistics engine.sampling engine.conditions engine.retrieval",
    ),
    "reading": (
        "Reading",
        "Collections and training rows from files.",
        "engine.reading engine.reading.sources engine.reading.passages engine.reading.benchmarks engine.reading.trec "
        "engine.reading.page_images engine.pictures engine.collection engine.fields engine.training.formats",
    ),
    "models": (
        "Models",
        "Finding, loading, naming and checking models.",
        "engine.encoder engine.models engine.precision engine.fingerprint engine.parity engine.late_head "
        "engine.nested engine.tokens",
    ),
    "server": (
        "Server and plugs",
        "The client of `workbench serve`, what it asks and gets, and what other libraries call.",
        "workbench.client.client workbench.client.schema workbench.plugs.ranker workbench.changes",
    ),
    "training": (
        "Training",
        "Settings, losses, data, runs and what comes out of them.",
        "engine.training.settings engine.training.losses engine.training.data engine.training.run "
        "engine.training.report engine.training.events engine.training.mining engine.training.teacher "
        "engine.training.recipes engine.training.saving engine.training.export engine.training.interpolation "
        "engine.training.development engine.training.cloze",
    ),
    "experiments": (
        "Experiments and runs",
        "What `workbench` measures and keeps.",
        "workbench.experiments.experiment workbench.experiments.execute workbench.experiments.sweep "
        "workbench.experiments.views.comparison workbench.runs.record workbench.runs.store workbench.runs.foreign "
        "workbench.benchmarks.mteb workbench.benchmarks.run workbench.benchmarks.catalogue "
        "workbench.runs.exchange workbench.cache workbench.workspace",
    ),
    "systems": (
        "Systems",
        "First stages, fusion and reranking as one text.",
        "workbench.systems.text workbench.systems.building workbench.systems.system workbench.systems.stages "
        "workbench.systems.tracing workbench.systems.worth",
    ),
    "figures": (
        "Figures and widgets",
        "Plotly figures of records, and widgets for notebooks.",
        "workbench.figures.alignment workbench.figures.pooling workbench.figures.budgets "
        "workbench.figures.indexes workbench.figures.systems workbench.figures.training workbench.figures.export "
        "workbench.widgets.explanation workbench.widgets.search workbench.widgets.judging "
        "workbench.widgets.training",
    ),
    "errors": (
        "Errors and plugins",
        "One family of errors, and what other packages may add.",
        "engine.errors engine.plugins apps.registry",
    ),
}


def pages() -> dict[str, str]:
    """Page -> Markdown, which mkdocstrings fills in, and the list of all files."""
    found = {}
    for name, (title, about, names) in PAGES.items():
        blocks = "\n\n".join(f"::: {entry}" for entry in names.split())
        found[f"reference/{name}.md"] = f"# {title}\n\n{about}\n\n{blocks}\n"
    found["reference/files.md"] = (
        f"# Every file and its purpose\n\nImports point one way: apps and notebooks -> workbench -> engine.\n\n"
        f"```text\n{tree()}\n```\n"
    )
    return found
