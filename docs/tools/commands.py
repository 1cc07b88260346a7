"""The page of the command line: every command with its options, from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any


def page() -> str:
    """Markdown of all commands."""
    from workbench.cli.commands import PANELS

    known = dict(commands())
    groups = {title: [function.__name__.replace("_", "-") for function in these] for title, these in PANELS.items()}
    groups["Runs that were kept"] = [name for name in known if name.startswith("runs ")]
    lines = [
        "# Commands",
        "",
        "What `workbench COMMAND --help` says, of all commands. Where a command prints a result, `--json` prints it as",
        "JSON; a mistake ends with code 2 and one sentence.",
        "",
        "| | commands |",
        "| --- | --- |",
        *(f"| {title} | {', '.join(map(_linked, names))} |" for title, names in groups.items()),
        "",
    ]
    for name, command in known.items():
        lines += [f"## workbench {name}", "", *_about(command), ""]
        rows = [row for parameter in command.params if (row := _row(parameter))]
        if rows:
            lines += ["| option | what it does | default |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its whole name, those of groups behind their group's."""
    import typer

    from workbench.cli.app import app
    from workbench.cli.commands import register

    register(app)

    def below(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            whole = f"{prefix}{name}"
            if hasattr(command, "commands"):
                yield from below(f"{whole} ", command)
            else:
                yield whole, command

    yield from below("", typer.main.get_command(app))


def _linked(name: str) -> str:
    return f"[{name}](#workbench-{name.replace(' ', '-')})"


def _about(command: Any) -> list[str]:
    text = (command.help or "").replace("\f", "").strip()
    example = re.compile(r"^Examples?: (.+)$", re.M | re.S)
    found = example.search(text)
    if not found:
        return [text]
    shown = "\n".join(re.findall(r"`([^`]+)`", found[1])) or found[1]
    return [text[: found.start()].strip(), "", "```", shown, "```"]


def _row(parameter: Any) -> str:
    if parameter.name == "help" or getattr(parameter, "hidden", False):
        return ""
    if parameter.param_type_name == "argument":
        name = f"`{parameter.metavar or parameter.name.upper()}`"
    else:
        name = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
    default = parameter.default
    plain = isinstance(default, (str, int, float)) and not isinstance(default, bool) and default != ""
    about = " ".join((getattr(parameter, "help", None) or "").split())
    shown = f"`{_cell(str(default))}`" if plain else "needed" if parameter.required else ""
    return f"| {name} | {_cell(about)} | {shown} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
