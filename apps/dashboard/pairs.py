"""Two runs side by side: what differs, every question as a point, and one click from a regression to its reasons."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import streamlit as st

from apps.dashboard.charts import question_scatter
from apps.dashboard.export import download_figure, theme
from apps.dashboard.reasons import collection_of, reasons
from apps.dashboard.tables import by_question, differing, short
from apps.text import visible
from apps.xray_records import verdict
from engine import Collection
from engine.errors import WorkbenchError
from engine.indexes.trace import Trace
from workbench import figures
from workbench.runs.record import Run
from workbench.systems import SystemTrace

SHOWN = 10  # documents of a ranking


def pair(before: Run, after: Run, metric: str) -> None:
    """Compare two runs.

    Args:
        before: A run.
        after: Another, of the same collection.
        metric: A metric that both computed.
    """
    settings = differing([before, after])
    st.subheader("What differs")
    if len(settings):
        st.dataframe(settings, width="stretch")
    else:
        st.write("No setting: only the code or the machine.")
    collection = collection_of(after)
    table = by_question(before, after, metric, collection.queries if collection else {})
    left, right = st.columns([5, 6])
    with left:
        figure = question_scatter(table, (short(before), short(after)), metric, theme())
        clicked = st.plotly_chart(
            figure, config=figures.CONFIG, width="stretch", on_select="rerun", selection_mode="points", key="scatter",
            alt=f"{len(table)} questions: {metric} of {before.name} against {after.name}", theme=None,
        )  # fmt: skip
        download_figure(figure, "questions", "scatter")
    with right:
        st.caption("Largest loss first. Choose a row or a point to see the reasons.")
        numbers = {name: st.column_config.NumberColumn(format="%.3f") for name in ("before", "after", "difference")}
        chosen = st.dataframe(
            table, hide_index=True, width="stretch", height=470, on_select="rerun", selection_mode="single-row",
            column_order=["question", "before", "after", "difference"], column_config=numbers, key="questions",
        )  # fmt: skip
    query = _chosen_query(table, chosen, clicked)
    if query is None:
        st.info("Choose a question above: its matrix and its way through the index open here.")
        return
    st.query_params["question"] = query
    text = str(table.loc[table["query"] == query, "question"].iloc[0])
    question(before, after, query, text, collection)


def _chosen_query(table: pd.DataFrame, rows: Any, points: Any) -> str | None:
    """The question of the row or point that is selected, or that of the address."""
    if rows and rows["selection"]["rows"]:
        return str(table.loc[rows["selection"]["rows"][0], "query"])
    if points and points["selection"]["points"]:
        data = points["selection"]["points"][0].get("customdata")
        if data:
            return str(data[0])
    wanted = st.query_params.get("question")
    return wanted if wanted in set(table["query"]) else None


def question(before: Run, after: Run, query: str, text: str, collection: Collection | None) -> None:
    """What two runs found for one question, and the reasons for one document.

    Args:
        before: A run.
        after: Another.
        query: Id of the question.
        text: Its text.
        collection: Its judgements mark the relevant documents; None where it cannot be read.
    """
    st.subheader(plain(text))
    grades = collection.qrels.get(query, {}) if collection else {}
    found = [list(run.rankings()[query].ids) if query in run.rankings() else [] for run in (before, after)]
    table = pd.DataFrame(
        [
            {"document": name, "grade": grades.get(name, 0), "before": _rank(found[0], name),
             "after": _rank(found[1], name)}
            for name in dict.fromkeys([*found[0][:SHOWN], *found[1][:SHOWN], *grades])
        ]
    )  # fmt: skip
    st.caption("Ranks in both runs, relevant documents first; none: not among the results.")
    table = table.sort_values(["grade", "before"], ascending=[False, True], ignore_index=True)
    chosen = st.dataframe(
        table, hide_index=True, width="stretch", on_select="rerun", selection_mode="single-row", key="documents",
        height=min(35 * (len(table) + 1) + 3, 390),
    )  # fmt: skip
    rows = chosen["selection"]["rows"] if chosen else []
    if not len(table):
        return
    document = str(table.loc[rows[0], "document"]) if rows else _most_lost(table)
    st.markdown(f"#### {plain(document)} in {plain(short(after))}")
    try:
        alignment, trace = reasons(after, text, document)
    except WorkbenchError as error:
        st.warning(str(error))
        return
    st.write(plain(str(trace) if isinstance(trace, SystemTrace) else verdict(trace)))
    show_trace(trace)
    figure = figures.maxsim_heatmap(alignment, theme=theme())
    st.plotly_chart(
        figure, config=figures.CONFIG, width="stretch", key="heatmap", alt=f"Matrix of {document}", theme=None
    )
    download_figure(figure, "matrix", "heatmap")
    if not after.experiment.pooling.keeps_all:
        st.caption("The matrix shows the vectors before pooling; the trace is that of the pooled ones in the index.")


def show_trace(trace: Trace | SystemTrace) -> None:
    """The stages of a search as a table."""
    rows = [
        {"stage": stage.stage, "documents in": stage.entered, "go on": stage.sent, "rank here": stage.rank,
         "the document": "goes on" if stage.survived else "lost here" if stage.came else "did not come"}
        for stage in trace.stages
    ] if isinstance(trace, SystemTrace) else [
        {"stage": stage.name, "setting": f"{stage.setting} {stage.limit:g}" if stage.setting else "",
         "documents in": stage.entered, "go on": stage.kept, "rank here": stage.rank,
         "the document": "goes on" if stage.survived else "lost here"}
        for stage in trace.stages
    ]  # fmt: skip
    if rows:
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")


def plain(text: str) -> str:
    """Text for a place where Streamlit reads Markdown: every character stands for itself."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(visible(text).split()))


def _rank(ids: list[str], name: str) -> int | None:
    return ids.index(name) + 1 if name in ids else None


def _most_lost(table: pd.DataFrame) -> str:
    """The relevant document that fell furthest, or the first."""
    relevant = [row for row in table.to_dict("records") if row["grade"] > 0]
    if not relevant:
        return str(table.loc[0, "document"])
    return str(max(relevant, key=lambda row: _found(row["before"]) - _found(row["after"]))["document"])


def _found(rank: float | None) -> float:
    """How well a document was found: one divided by its rank, and nothing when it is not among the results."""
    return 0.0 if rank is None or pd.isna(rank) else 1 / rank
