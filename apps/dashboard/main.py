"""The page of the dashboard, run by Streamlit: leaderboard, what differs, and two runs question by question."""

from __future__ import annotations

import streamlit as st

from apps.dashboard.export import download_figure, download_table, theme
from apps.dashboard.pairs import pair, plain
from apps.dashboard.tables import differing, leaderboard, per_question, short, traits
from engine.errors import CorruptDataError
from workbench import figures
from workbench.runs.record import Run
from workbench.runs.store import list_runs, runs_folder

MOST_SHOWN = 12  # runs in the figure
STYLE = (
    ".stMainBlockContainer{padding-top:2.6rem;max-width:1500px} h1{font-size:1.9rem!important}"
    # Streamlit's own download leaves formulas in the cells; the button below a table does not.
    '[data-testid="stElementToolbarButton"]:has([aria-label^="Download as CSV"]){display:none}'
)


def choose(label: str, runs: list[Run], key: str, default: str | None = None) -> Run | None:
    """A run of the person's choice, kept in the address."""
    ids = [run.id for run in runs]
    names = {run.id: f"{short(run)} ({run.id[-6:]})" for run in runs}
    wanted = st.query_params.get(key, default)
    chosen = st.selectbox(
        label, ids, index=ids.index(wanted) if wanted in ids else None, format_func=names.__getitem__,
        placeholder="Choose a run",
    )  # fmt: skip
    if chosen:
        st.query_params[key] = chosen
    return next((run for run in runs if run.id == chosen), None)


def kept(label: str, options: list[str], key: str, default: int = 0) -> str:
    """One of several options, kept in the address."""
    wanted = st.query_params.get(key)
    chosen = st.selectbox(label, options, index=options.index(wanted) if wanted in options else default)
    st.query_params[key] = chosen or options[0]
    return chosen or options[0]


def page() -> None:
    """The whole page."""
    st.set_page_config(page_title="Runs, Late Interaction Workbench", layout="wide")
    st.html(f"<style>{STYLE}</style>")
    st.title("Runs")
    every = list_runs()
    complete = [run for run in every if run.status == "complete"]
    for run in every:
        if run.status == "unreadable":
            st.warning(plain(f"{run.problem} (`workbench runs delete {run.id}` removes it.)"))
    if not complete:
        st.info(
            f"No finished run in {runs_folder()} yet. Make one: `workbench run --example > experiment.yaml`, then "
            "`workbench run experiment.yaml`; or several, with `workbench sweep`."
        )
        return
    left, middle, right = st.columns(3)
    collections = sorted({run.record.get("collection", {}).get("name", "") for run in complete})
    with left:
        collection = kept("Collection", collections, "collection")
    runs = sorted(
        (run for run in complete if run.record.get("collection", {}).get("name", "") == collection),
        key=lambda run: run.created,
    )
    metrics = list(dict.fromkeys(name for run in runs for name in run.mean))
    if not metrics:
        st.info("The runs of this collection have no scores.")
        return
    with middle:
        metric = kept("Metric", metrics, "metric")
    with right:
        baseline = choose("Baseline that the others are compared with", runs, "baseline", runs[0].id)
    values, problems = per_question(runs, metric)
    for problem in problems:
        st.warning(plain(problem))
    shown = filtered([run for run in runs if run.id in values])
    board(shown, values, metric, baseline)
    st.header("Two runs, question by question", divider="gray")
    two(shown, metric, baseline)


def filtered(runs: list[Run]) -> list[Run]:
    """The runs that pass the person's filters; only traits that differ are offered."""
    with st.expander("Filters"):
        text = st.text_input("Name holds", key="filter").lower()
        kept_runs = [run for run in runs if text in run.name.lower()]
        known = {run.id: traits(run) for run in runs}
        for name in next(iter(known.values()), {}):
            values = sorted({known[run.id][name] for run in runs})
            if len(values) > 1:
                wanted = st.multiselect(name, values, key=f"filter-{name}", placeholder="all")
                kept_runs = [run for run in kept_runs if not wanted or known[run.id][name] in wanted]
    return kept_runs


def board(runs: list[Run], values: dict[str, dict[str, float]], metric: str, baseline: Run | None) -> None:
    """The leaderboard, its figure, its exports, and the settings in which chosen runs differ."""
    table = leaderboard(runs, values, metric, baseline)
    if not len(table):
        st.info("No run passes the filters with this metric.")
        return
    wide = [name for name in (metric, "low", "high", "difference", *runs[0].mean) if name in table]
    columns = {name: st.column_config.NumberColumn(format="%.3f") for name in wide}
    columns["ms"] = st.column_config.NumberColumn("ms a question", format="%.1f")
    columns["MB"] = st.column_config.NumberColumn(format="%.1f")
    chosen = st.dataframe(
        table, hide_index=True, width="stretch", column_config=columns, on_select="rerun", selection_mode="multi-row",
        key="board",
    )  # fmt: skip
    st.caption(
        "low and high: 95% bootstrap interval over questions. difference: to the baseline, paired by question; real: "
        "its interval excludes zero. Choose rows to see the settings in which they differ."
    )
    download_table(table, "runs")
    rows = chosen["selection"]["rows"] if chosen else []
    picked = [run for row in rows for run in runs if run.id == table.loc[row, "id"]]
    if len(picked) > 1:
        st.dataframe(differing(picked), width="stretch")
    ends = {
        f"{row['run']} ({row['id'][-6:]})" if list(table["run"]).count(row["run"]) > 1 else str(row["run"]): (
            row[metric],
            row["low"],
            row["high"],
        )
        for row in table.head(MOST_SHOWN).to_dict("records")
    }
    figure = figures.intervals(ends, metric, short(baseline) if baseline else None, theme=theme())
    st.plotly_chart(
        figure, config=figures.CONFIG, width="stretch", key="intervals", theme=None, alt=f"{metric} of every run"
    )
    download_figure(figure, "runs", "intervals")


def two(runs: list[Run], metric: str, baseline: Run | None) -> None:
    """Choose two runs and compare them."""
    shared = [run for run in runs if metric in run.mean]
    if len(shared) < 2:
        st.info("It takes two runs of this collection with this metric: loosen the filters, or run another.")
        return
    first = baseline.id if baseline else shared[0].id
    other = next((run.id for run in reversed(shared) if run.id != first), None)
    left, right = st.columns(2)
    with left:
        before = choose("Before", shared, "before", first)
    with right:
        after = choose("After", shared, "after", other)
    if before is None or after is None or before.id == after.id:
        st.caption("Choose two different runs.")
        return
    try:
        pair(before, after, metric)
    except CorruptDataError as error:
        st.warning(plain(str(error)))


page()
