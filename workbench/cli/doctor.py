"""The command `doctor`: what is installed, what this machine offers, and whether the parts work."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from workbench.cli.options import JsonOption
from workbench.cli.output import show_json, show_table

PACKAGES = (
    "torch", "transformers", "sentence-transformers", "numba", "numpy", "ranx", "plotly", "gradio", "streamlit",
    "ipywidgets", "jupyterlab", "peft", "datasets", "late-interaction-kernels",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """Python, platform, processors, memory and accelerators of this machine, as JSON values."""
    import psutil
    import torch

    from engine.machine import processor
    from engine.models import resolve_device

    record = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "device": resolve_device("auto"),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
    }
    if torch.cuda.is_available():
        record["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return record


def packages() -> dict[str, str | None]:
    """Installed versions; None for what is absent."""
    from engine.indexes import packages as of_indexes

    found: dict[str, str | None] = {}
    for name in (*PACKAGES, *of_indexes()):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def doctor(
    model: Annotated[str | None, typer.Option("--model", help="Also certify this model.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is installed and what this machine offers; with a model, how far each device and dtype is off.

    Example: `workbench doctor --model embedded`
    """
    from engine.errors import WorkbenchError
    from engine.indexes import index_class
    from engine.indexes import kinds as known_kinds
    from workbench.paths import data_folder

    kinds = {}
    for kind in known_kinds():
        try:
            index_class(kind).check_installed()
            kinds[kind] = "ready"
        except WorkbenchError as error:
            kinds[kind] = str(error)
    record: dict[str, Any] = {
        "machine": machine(),
        "packages": packages(),
        "indexes": kinds,
        "data": str(data_folder()),
    }
    if model is not None:
        from engine.parity import certify

        record["parity"] = [asdict(entry) for entry in certify(model)]
    if as_json:
        show_json(record)
        return
    show_table("Machine", ("", "value"), [*record["machine"].items(), ("data folder", record["data"])])
    show_table("Packages", ("package", "version"), [(n, v or "not installed") for n, v in record["packages"].items()])
    show_table("Index kinds", ("kind", "state"), list(kinds.items()))
    if model is not None and record["parity"]:
        rows = [[str(value) for value in row.values()] for row in record["parity"]]
        show_table(f"Parity of {model} with float32 eager", tuple(record["parity"][0]), rows)
