"""Files that the dashboard hands out: tables as CSV and LaTeX, figures as pages that open offline and as pictures."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from engine.errors import WorkbenchError
from workbench import figures
from workbench.exports import csv_table, latex_table


def theme() -> str:
    """The theme that the person sees, "light" or "dark"."""
    return "dark" if st.context.theme.type == "dark" else "light"


def download_table(table: pd.DataFrame, name: str) -> None:
    """Two buttons: the table as CSV, and as LaTeX without its ids.

    Args:
        table: What is shown.
        name: Name of the files, without their ends.
    """
    with st.container(horizontal=True):
        st.download_button("Table as CSV", csv_table(table), f"{name}.csv", "text/csv")
        shown = table.drop(columns=[column for column in ("id",) if column in table])
        st.download_button("as LaTeX", latex_table(shown), f"{name}.tex", "text/plain")


def download_figure(figure: go.Figure, name: str, key: str) -> None:
    """Two buttons: the figure as a page, and as a picture where one can be drawn.

    Args:
        figure: What is shown.
        name: Name of the files, without their ends.
        key: That tells the buttons of one page apart.
    """
    with st.container(horizontal=True):
        st.download_button(
            "Figure as a page (HTML)", lambda: _file(figure, f"{name}.html"), f"{name}.html", "text/html",
            key=f"{key}-html",
        )  # fmt: skip
        if st.button("as a picture (PNG)", key=f"{key}-make"):
            try:
                picture = _file(figure, f"{name}.png")
            except WorkbenchError as error:
                st.warning(str(error))
                return
            st.download_button("Save the picture", picture, f"{name}.png", "image/png", key=f"{key}-png")


def _file(figure: go.Figure, name: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        path = Path(folder) / name
        write = figures.export_html if path.suffix == ".html" else figures.export_image
        return write(figure, path).read_bytes()
