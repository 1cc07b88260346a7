"""The command `doctor`: what is installed, what this machine offers, and whether the parts work."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from typer import Option

from workbench.cli.options import JsonOption
from workbench.cli.output import show_json, show_table

OPTIONAL = ("plotly", "gradio", "streamlit", "ipywidgets", "jupyterlab", "late-interaction-kernels")


def described() -> dict[str, Any]:
    """What records say about this machine, and what else decides how a model runs here, as JSON values."""
    import torch

    from engine.machine import machine
    from engine.models import resolve_device

    here = {
        **machine(),
        "torch_threads": torch.get_num_threads(),
        "device": resolve_device("auto"),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
    }
    if torch.cuda.is_available():
        here["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return here


def packages() -> dict[str, str | None]:
    """Installed versions; None for what is absent."""
    from engine.indexes import packages as of_indexes
    from engine.machine import PACKAGES, versions

    found = versions(OPTIONAL)
    return {name: found.get(name) for name in ("python", *PACKAGES, *OPTIONAL, *of_indexes())}


def doctor(
    model: Annotated[
        str | None, Option(help="Also hold this model, in each dtype and on each device, to float32 on the processor.")
    ] = None,
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
        "machine": described(),
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
    here = {
        **record["machine"],
        "memory_bytes": f"{record['machine']['memory_bytes']:,}",
        "data folder": record["data"],
    }
    show_table("Machine", ("", "value"), list(here.items()))
    show_table("Packages", ("package", "version"), [(n, v or "not installed") for n, v in record["packages"].items()])
    show_table("Index kinds", ("kind", "state"), list(kinds.items()))
    if model is not None and record["parity"]:
        rows = [[str(value) for value in row.values()] for row in record["parity"]]
        show_table(f"Parity of {model} with float32 eager", tuple(record["parity"][0]), rows)
