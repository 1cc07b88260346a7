"""Options that mean the same in every command."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from engine.errors import InputError
from engine.files import require_place
from workbench.links import check_public_name

Several = list[str] | None  # an option that may be given more than once
CollectionOption = Annotated[
    str,
    Option(
        "--collection",
        help="What to search: embedded, a BEIR folder, a folder of texts, PDF, HTML and .docx files, a table, "
        "owner/name on the hub, irds:NAME, or a benchmark's task, nanobeir:scifact.",
    ),
]
ModelOption = Annotated[str, Option("--model", help="embedded, a model's folder, or owner/name on the hub.")]
BaseOption = Annotated[
    str, Option("--model", help="What to train: embedded, a model's folder, or owner/name on the hub.")
]
IndexOption = Annotated[
    str, Option("--index", help="Kind of index, and settings: exact, plaid, plaid:bits=2, hnsw, ...")
]
KOption = Annotated[int, Option("--k", help="How many documents are returned for a question.", min=1)]
SeedOption = Annotated[int, Option("--seed", help="Seed of everything random.")]
DeviceOption = Annotated[str, Option("--device", help="Where to compute: auto, cpu, cuda, cuda:1 or mps.")]
JsonOption = Annotated[bool, Option("--json", help="Print JSON instead of a table.")]
ScorerOption = Annotated[
    str,
    Option(
        "--scorer",
        help="What ranks: index, as it finds them; exact (MaxSim on the original vectors), xtr, smooth-maxsim, ...",
    ),
]
SameIdsOption = Annotated[
    str,
    Option(
        "--same-ids",
        help="A document with its question's id: keep it in rankings, or leave-out as BEIR does; auto leaves it out "
        "where it is the question itself.",
        callback=lambda value: value.replace("-", " "),
    ),
]
PoolOption = Annotated[
    str,
    Option(
        "--pool", help="Fewer vectors a document: factor=2, tokens=64, distance=.3, once, importance=.5, or several."
    ),
]
SystemOption = Annotated[
    str,
    Option("--system", help='A whole system, in place of index and scorer: "bm25:k=1000 > maxsim", "bm25 + single".'),
]
WhereOption = Annotated[
    str, Option("--where", help='Search only documents whose fields fit a condition: "year >= 2020".')
]
ForceOption = Annotated[bool, Option("--force", help="Measure again what a kept run has already.")]


def check_place(path: Path | None) -> Path | None:
    """Refuse a file that could not be written, before the work; folders on the way are made when it is written.

    Raises:
        InputError: it is a folder, or its folder can neither be written nor made.
    """
    if path is None:
        return None
    require_place(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a file, such as {path / 'result.json'}.")
    return path


def given_ones(context: typer.Context, *names: str) -> str:
    """Which of some options were typed, as a list for a sentence; "" for none."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return ", ".join(
        f"--{name.replace('_', '-')}" for name, source in sources.items() if source and source.name == "COMMANDLINE"
    )


def checked_system(context: typer.Context, system: str, *others: str) -> str:
    """The one text of a system, which leaves no room for options that name a part of it.

    Args:
        context: The call of the command, which knows what was typed.
        system: As it was given; "" for none.
        others: Parameters of the command that mean nothing beside it, such as "index".

    Returns:
        The text.

    Raises:
        InputError: it is no system, or one of the others was given too.
    """
    if not system:
        return ""
    from workbench.systems.text import parse_system

    text = str(parse_system(system))
    if wrong := given_ones(context, *others):
        raise InputError(f"A system names its own stages, so {wrong} beside --system means nothing: leave one out.")
    return text


def search_fields(context: typer.Context, index: str, system: str, scorer: str, pool: str, k: int) -> dict[str, Any]:
    """The fields of an experiment that say how is searched, from the options of a command.

    Raises:
        InputError: no index or system, or a system beside options that name a part of it.
    """
    from workbench.experiments.plan import parse_spec

    kind, settings = parse_spec(index)
    system = checked_system(context, system, "index", "scorer")
    kind, settings = ("exact", {}) if system else (kind, settings)
    return {"index": kind, "settings": settings, "system": system, "scorer": scorer, "pool": pool, "k": k}


OutputOption = Annotated[
    Path | None, Option("--output", help="Write the result to this file, as JSON.", callback=check_place)
]


def check_figure(path: Path | None) -> Path | None:
    """Refuse a figure that could not be written, before the work.

    Raises:
        InputError: another suffix than .html, .svg and .png, or a folder that is not there.
    """
    if path is not None:
        from workbench.figures import check_place as check

        check(path)
    return path


FigureOption = Annotated[
    Path | None, Option("--figure", help="Also draw it: an .html, .svg or .png file.", callback=check_figure)
]
MaxQueriesOption = Annotated[
    int | None, Option("--max-queries", help="Ask only so many questions, the first ones; all if not given.", min=1)
]
HostOption = Annotated[
    str,
    Option("--host", help="Address to listen on; beyond this machine only with a login, WORKBENCH_AUTH=user:password."),
]
PortOption = Annotated[int, Option("--port", help="Port to listen on; 0 takes a free one.", min=0, max=65535)]
PublicOption = Annotated[
    Several,
    Option(
        "--public-name",
        help="Repeatable: a name under which a proxy in front is asked.",
        callback=lambda names: [check_public_name(name) for name in names or ()],  # before anything is loaded
    ),
]
NoBrowserOption = Annotated[bool, Option("--no-browser", help="Do not open the browser.")]
RecipeOption = Annotated[
    str | None, Option("--settings", help="A YAML file, or a recipe: contrastive, gradcache, distillation, ...")
]
TrainSettingOption = Annotated[
    Several, Option("--set", help="Repeatable: a field of TrainSettings, batch=64, learning_rate=1e-5, ...")
]
MapOption = Annotated[
    Several,
    Option("--map", help="Which column of the data is what: query=question,positive=answer,negative=n1+n2,scores=."),
]
SplitOption = Annotated[
    str | None,
    Option("--split", help="Which judgements of the collection, such as dev; if not given test, where it is there."),
]


PassagesOption = Annotated[
    str | None,
    Option(
        "--passages",
        help="Cut long documents into passages, as 200:40: at most 200 words, 40 of them shared with the one before; "
        "256:32:tokens counts the model's tokens.",
    ),
]
QrelsOption = Annotated[
    str | None,
    Option("--qrels", help="Judgements of this file (BEIR, TREC or a table) in place of the collection's own."),
]
JUDGING = ("evaluate", "compare", "pool_study", "compare_indexes", "compare_systems", "recommend")
WindowsOption = Annotated[
    str | None,
    Option(
        "--windows",
        help="Read all of a long document, as 256:32: in windows of 256 tokens that share 32; else it is cut.",
    ),
]
LengthOption = Annotated[
    int | None,
    Option("--document-length", help="Tokens of a document that are read, in place of the model's own limit."),
]
CHOICES: dict[str, tuple[Any, tuple[str, ...]]] = {  # option -> its annotation, and the parameters that it is about
    "split": (SplitOption, ("collection", "development")),
    "passages": (PassagesOption, ("collection", "texts")),
    "qrels": (QrelsOption, ("collection",)),
    "windows": (WindowsOption, ("model",)),
    "document_length": (LengthOption, ("model",)),
}


def with_source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --split, --passages and --qrels of its collection, --windows and --document-length of its model.

    The name of the collection or of the model then ends with them.

    Args:
        command: With a parameter "collection" (a name or a list of names), "development" or "texts", with a "model"
            that encodes, or with none of them.

    Returns:
        The command with the options that fit, or as it is where none does.
    """
    parameters = inspect.signature(command, eval_str=True).parameters
    about = {
        option: name
        for option, (_, names) in CHOICES.items()
        if (name := next((name for name in names if name in parameters), None)) is not None
        and option not in parameters
        and (option != "qrels" or command.__name__ in JUDGING)
        and (name != "model" or parameters[name].annotation == ModelOption)
    }
    if not about:
        return command

    @functools.wraps(command)
    def wrapped(**options: Any) -> None:
        for option, name in about.items():
            chosen, given = options.pop(option, None), options[name]
            if chosen is None:
                continue
            if not given:
                raise InputError(f"Expected a collection for --{option}: name it with --collection.")
            several = given if isinstance(given, list) else [given]
            found = [_chosen(str(entry), option, chosen, str(options.get("model", "embedded"))) for entry in several]
            options[name] = found if isinstance(given, list) else found[0]
        command(**options)

    return with_more(command, wrapped, {option: (None, CHOICES[option][0]) for option in about})


def with_more(command: Callable[..., None], wrapped: Any, added: Mapping[str, tuple[Any, Any]]) -> Callable[..., None]:
    """Give a wrapper the options of its command and some of its own, as typer reads them.

    Args:
        command: The command.
        wrapped: What calls it, made with `functools.wraps`.
        added: Option -> its default and its annotation.

    Returns:
        The wrapper.
    """
    signature = inspect.signature(command, eval_str=True)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (default, annotation) in added.items()
    ]
    parameters = [*signature.parameters.values(), *more]
    wrapped.__signature__ = signature.replace(parameters=parameters)
    del wrapped.__wrapped__  # typer would read the options of the function inside
    wrapped.__annotations__ = {entry.name: entry.annotation for entry in parameters}
    return wrapped


def _chosen(source: str, option: str, value: str, model: str) -> str:
    """The name of a collection or of a model with one choice behind it."""
    from engine.model_names import ModelName
    from engine.reading import Source
    from engine.reading.lines import reading
    from engine.reading.passages import Passages

    if option in ("windows", "document_length"):
        return str(ModelName.parse(source).choose(**{option: value}))
    chosen = str(Passages.parse(value, ModelName.parse(model).name)) if option == "passages" else value
    if option == "qrels":
        with reading(Path(value)):
            Path(value).stat()
        chosen = str(Path(value).resolve())  # a run that is taken up elsewhere finds it
    return str(Source.parse(source).choose(**{option: chosen}))


def column_map(given: list[str] | None) -> dict[str, str]:
    """What --map says: role -> column.

    Args:
        given: Each "role=column,role=column".

    Returns:
        The mapping; an empty column means that there is none.

    Raises:
        InputError: a part is no role=column, or a role comes twice.
    """
    found: dict[str, str] = {}
    for part in (part.strip() for text in given or [] for part in text.split(",")):
        role, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or not role or role in found:
            raise InputError(f"Expected --map as role=column once a role, got {part!r}: try query=question.")
        found[role] = column
    return found
