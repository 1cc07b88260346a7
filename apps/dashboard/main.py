"""The page of the dashboard, run by Streamlit: leaderboard, what differs, and two runs question by question."""

from __future__ import annotations

from urllib.parse import urlencode

import streamlit as st

from apps.dashboard.tables import by_question, differing, latex, leaderboard
from engine import load_collection
from engine.errors import WorkbenchError
from workbench import figures
from workbench.runs.record import Run
from workbench.runs.store import list_runs, runs_folder

EXPLORER = "http://127.0.0.1:7860/"


@st.cache_data(show_spinner="Reading the questions")
def questions(name: str) -> dict[str, str]:
    """Query id to text, or nothing where the collection cannot be read any more."""
    try:
        return load_collection(name).queries
    except WorkbenchError:
        return {}


def choose(label: str, runs: list[Run], key: str) -> Run | None:
    """A run of the person's choice, kept in the address."""
    ids = [run.id for run in runs]
    names = {run.id: f"{run.name} ({run.id[:8]})" for run in runs}
    wanted = st.query_params.get(key)
    chosen = st.selectbox(
        label, ids, index=ids.index(wanted) if wanted in ids else None, format_func=names.__getitem__,
        placeholder="Choose a run",
    )  # fmt: skip
    if chosen:
        st.query_params[key] = chosen
    return next((run for run in runs if run.id == chosen), None)


def page() -> None:
    """The whole page."""
    st.set_page_config(page_title="Runs, Late Interaction Workbench", layout="wide")
    st.title("Runs")
    every = list_runs()
    complete = [run for run in every if run.status == "complete"]
    for run in every:
        if run.status == "unreadable":
            st.warning(run.problem)
    if not complete:
        st.info(f"No finished run in {runs_folder()}. Make one: `workbench run --collection embedded`.")
        return
    collections = sorted({run.record.get("collection", {}).get("name", "") for run in complete})
    wanted = st.query_params.get("collection")
    left, middle, right = st.columns(3)
    with left:
        start = collections.index(wanted) if wanted in collections else 0
        collection = st.selectbox("Collection", collections, index=start) or collections[0]
    st.query_params["collection"] = collection
    runs = [run for run in complete if run.record.get("collection", {}).get("name", "") == collection]
    metrics = list(dict.fromkeys(name for run in runs for name in run.mean))
    with middle:
        metric = st.selectbox("Metric", metrics)
    with right:
        baseline = choose("Baseline that the others are compared with", runs, "baseline")
    if metric:
        board(runs, metric, baseline)
        pair(runs, metric, collection)


def board(runs: list[Run], metric: str, baseline: Run | None) -> None:
    """The leaderboard and its exports."""
    text = st.text_input("Only runs whose name holds", key="filter")
    table = leaderboard([run for run in runs if text.lower() in run.name.lower()], metric, baseline)
    if not len(table):
        st.info("No run has this name and metric.")
        return
    st.dataframe(table, hide_index=True, width="stretch")
    st.caption(
        "low and high: 95% bootstrap interval over questions. difference: against the baseline, paired by question; "
        "real: its interval excludes zero."
    )
    csv, tex, _ = st.columns([1, 1, 5])
    csv.download_button("CSV", table.to_csv(index=False), "runs.csv", "text/csv")
    tex.download_button("LaTeX", latex(table.drop(columns=["id"])), "runs.tex", "text/plain")


def pair(runs: list[Run], metric: str, collection: str) -> None:
    """Two runs side by side, question by question."""
    st.header("Two runs, question by question")
    shared = [run for run in runs if metric in run.mean]
    if len(shared) < 2:
        st.info("It takes two runs of this collection with this metric.")
        return
    left, right = st.columns(2)
    with left:
        before = choose("Before", shared, "before")
    with right:
        after = choose("After", shared, "after")
    if before is None or after is None or before.id == after.id:
        st.caption("Choose two different runs.")
        return
    st.subheader("What differs")
    settings = differing([before, after])
    if len(settings):
        st.dataframe(settings, width="stretch")
    else:
        st.write("No setting: only the code or the machine.")
    texts = questions(collection)
    table = by_question(before, after, metric, texts)
    figure = figures.query_differences(
        before.per_query(metric), after.per_query(metric), (before.name, after.name), metric, queries=texts
    )
    st.plotly_chart(figure, config=figures.CONFIG, width="stretch")
    found = st.dataframe(table, hide_index=True, width="stretch", on_select="rerun", selection_mode="single-row")
    rows = found["selection"]["rows"] if found else []
    if rows:
        question(before, after, str(table.loc[rows[0], "query"]), str(table.loc[rows[0], "question"]))
    else:
        st.caption("Choose a row to see what both runs found, and the reasons.")


def question(before: Run, after: Run, query: str, text: str) -> None:
    """What two runs found for one question, each document with links to its heatmap and its trace."""
    st.subheader(text)
    for run, place in zip((before, after), st.columns(2), strict=True):
        ranking = run.rankings().get(query)
        place.markdown(f"**{run.name}**".replace("_", r"\_"))
        for rank, (name, score) in (
            enumerate(zip(ranking.ids[:10], ranking.scores[:10], strict=True), 1) if ranking else []
        ):
            state = urlencode({"q": text, "doc": name})
            line = f"{rank}. `{name}` {score:.3f} [matches]({EXPLORER}?{state}) [trace]({EXPLORER}xray?{state})"
            place.markdown(line)


page()
