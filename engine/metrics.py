"""Names of metrics: as ranx writes them ("ndcg@10") and as ir-measures does ("nDCG@10"), for the same computations."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.errors import InputError

DEFAULT_METRICS = ("ndcg@10", "recall@100")
KNOWN_METRICS = (
    "hits", "hit_rate", "precision", "recall", "f1", "r-precision", "bpref", "rbp",
    "mrr", "map", "dcg", "dcg_burges", "ndcg", "ndcg_burges", "judged",
)  # fmt: skip
UNCUT = ("r-precision", "bpref")  # their depth is the number of relevant documents
FORM = re.compile(
    r"(?P<base>[a-z][a-z_1]*(?:-precision)?)(?:@(?P<cutoff>\d{1,9})|\.(?P<persistence>\d+))?(?:-l(?P<level>\d))?"
)
SHOWN = {
    "ndcg": "nDCG",
    "dcg": "DCG",
    "map": "MAP",
    "mrr": "MRR",
    "f1": "F1",
    "rbp": "RBP",
    "r-precision": "R-precision",
}


@dataclass(frozen=True)
class Metric:
    """A metric's name, taken apart.

    Args:
        name: As it was asked for, such as "ndcg@10", "precision@5-l2", "rbp.95" or "P(rel=2)@5".
        base: One of KNOWN_METRICS.
        cutoff: How many documents of a ranking count; 0 is all of them.
        level: The least grade that counts as relevant.
        persistence: Digits behind the point, of rbp; "" for the others.
        binary: Whether all grades from the level on count as 1, where the metric would multiply by them.
        judged_only: Whether documents without a judgement are passed over.
    """

    name: str
    base: str
    cutoff: int = 0
    level: int = 1
    persistence: str = ""
    binary: bool = False
    judged_only: bool = False

    @property
    def for_ranx(self) -> str:
        """The name as ranx takes it."""
        behind = f".{self.persistence}" if self.persistence else f"@{self.cutoff}" if self.cutoff else ""
        return f"{self.base}{behind}" + (f"-l{self.level}" if self.level > 1 and not self.binary else "")


class Measure(NamedTuple):
    """What a measure of ir-measures is here.

    Args:
        base: One of KNOWN_METRICS.
        cutoff: "needed", "free" or "none".
        parameters: Those that it takes.
    """

    base: str
    cutoff: str
    parameters: tuple[str, ...] = ("rel", "judged_only")


MEASURES = {
    "nDCG": Measure("ndcg", "free", ("dcg", "judged_only")), "P": Measure("precision", "needed"),
    "R": Measure("recall", "needed"), "RR": Measure("mrr", "free"), "AP": Measure("map", "free"),
    "Success": Measure("hit_rate", "needed"), "Judged": Measure("judged", "free", ()),
    "Rprec": Measure("r-precision", "none"), "Bpref": Measure("bpref", "none", ("rel",)),
    "RBP": Measure("rbp", "none", ("rel", "p")), "SetP": Measure("precision", "none"),
    "SetR": Measure("recall", "none", ("rel",)), "SetF": Measure("f1", "none"),
}  # fmt: skip
ALIASES = {"NDCG": "nDCG", "Precision": "P", "Recall": "R", "MRR": "RR", "MAP": "AP", "RPrec": "Rprec",
           "BPref": "Bpref"}  # fmt: skip
MEASURE_FORM = re.compile(r"(?P<name>[A-Za-z]+)(?:\((?P<given>[^()]*)\))?(?:@(?P<cutoff>\d{1,9}))?")
GAINS = {"log2": "ndcg", "exp-log2": "ndcg_burges"}  # dcg= of nDCG


def parse_metric(name: str) -> Metric:
    """Take a metric's name apart.

    Args:
        name: As ranx writes it, with a cut-off ("ndcg@10"), a persistence ("rbp.95") and a level ("recall@100-l2"); or
            as ir-measures does ("nDCG@10", "R(rel=2)@100", "RBP(rel=1, p=0.95)", "Judged@10").

    Returns:
        Its parts.

    Raises:
        InputError: an unknown name or form; the sentence lists the known ones.
    """
    if isinstance(name, str) and name != name.lower():
        return _parse_measure(name)
    found = FORM.fullmatch(name) if isinstance(name, str) else None
    base = "" if found is None else found["base"].replace("r_precision", "r-precision")
    if found is None or base not in KNOWN_METRICS:
        raise InputError(
            f"Unknown metric {name!r}: choose among {', '.join(KNOWN_METRICS)}, with a cut-off such as ndcg@10, and "
            "with -l2 at the end where only grades of 2 or more count as relevant; or among those of ir-measures, "
            f"{', '.join(MEASURES)}, such as nDCG@10."
        )
    cutoff, level = int(found["cutoff"] or 0), int(found["level"] or 1)
    if (base == "rbp") != (found["persistence"] is not None):
        raise InputError(f"Expected a persistence for rbp and for rbp alone, got {name!r}: write rbp.95, or ndcg@10.")
    if found["cutoff"] is not None and (cutoff == 0 or base in UNCUT):
        advice = f"leave it out of {base}" if base in UNCUT else f"write {base} or {base}@10"
        raise InputError(f"Expected a cut-off of 1 or more where a metric has one, got {name!r}: {advice}.")
    if level == 0:
        raise InputError(f"Expected a level of 1 or more, got {name!r}: a grade of 0 is not relevant.")
    if base == "judged" and found["level"] is not None:
        raise InputError(f"Expected no level for judged, got {name!r}: any judgement counts, leave it out.")
    return Metric(name, base, cutoff, level, found["persistence"] or "")


def _parse_measure(name: str) -> Metric:
    """A name in the form of ir-measures: Name(parameter=value, ...)@cutoff."""
    found = MEASURE_FORM.fullmatch(name)
    known = None if found is None else ALIASES.get(found["name"], found["name"])
    if found is None or known not in MEASURES:
        raise InputError(
            f"Unknown metric {name!r}: of those of ir-measures choose among {', '.join(MEASURES)}, such as nDCG@10 or "
            f"R(rel=2)@100; or one of ranx, {', '.join(KNOWN_METRICS)}."
        )
    measure, cutoff = MEASURES[known], int(found["cutoff"] or 0)
    if found["cutoff"] is not None and (cutoff == 0 or measure.cutoff == "none"):
        advice = f"leave it out of {known}" if measure.cutoff == "none" else f"write {known}@10"
        raise InputError(f"Expected a cut-off of 1 or more where a metric has one, got {name!r}: {advice}.")
    if measure.cutoff == "needed" and not cutoff:
        raise InputError(f"Expected a cut-off for {known}, got {name!r}: write {known}@10.")
    given = _parameters(name, found["given"] or "", measure)
    level, base = given.get("rel", 1), measure.base
    if base == "rbp":
        if "rel" not in given:
            raise InputError(f"Expected the least grade that counts for RBP, got {name!r}: write RBP(rel=1, p=0.8).")
        digits = f"{given.get('p', 0.8):.9f}".rstrip("0").partition(".")[2]
        return Metric(name, base, 0, level, digits, binary=True)
    base = GAINS[given.get("dcg", "log2")] if base == "ndcg" else base
    return Metric(name, base, cutoff, level, judged_only=given.get("judged_only", False))


def _parameters(name: str, text: str, measure: Measure) -> dict[str, Any]:
    """What stands in the brackets of a measure, checked."""
    found: dict[str, Any] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in measure.parameters or key in found:
            known = ", ".join(measure.parameters) or "none"
            raise InputError(f"Expected parameters among {known}, each once, got {part!r} in {name!r}: correct it.")
        try:
            found[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found[key] = value
    checks = {
        "rel": (lambda v: type(v) is int and 1 <= v <= 9, "a whole number from 1 to 9, such as rel=2"),
        "p": (lambda v: type(v) is float and 0 < v < 1, "a number between 0 and 1, such as p=0.8"),
        "dcg": (lambda v: v in GAINS, "log2 or exp-log2 in quotes"),
        "judged_only": (lambda v: type(v) is bool, "True or False"),
    }
    for key, value in found.items():
        fits, expected = checks[key]
        if not fits(value):
            raise InputError(f"Expected {key} of {name!r} as {expected}, got {value!r}: correct it.")
    return found


def check_metrics(metrics: Sequence[str]) -> list[str]:
    """Check names such as "ndcg@10" or "nDCG@10".

    Raises:
        InputError: no name, or an unknown one; the sentence lists the known ones.
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    if not names:
        raise InputError("Expected at least one metric, got none: name one, such as ndcg@10.")
    return [parse_metric(name).name for name in names]


def metric_name(metric: str) -> str:
    """A metric as people write it: "nDCG@10", "recall@100", "MRR@10"; a name of ir-measures as it was asked for."""
    if metric != metric.lower():
        return metric
    base, mark, rest = re.fullmatch(r"([a-z0-9_-]+?)(@|\.|-l|$)(.*)", metric).groups()  # type: ignore[union-attr]
    return f"{SHOWN.get(base, base).replace('_', ' ')}{mark}{rest}"


def same_metric(name: str, known: Mapping[str, Any]) -> str | None:
    """The one among names that stands for the same computation, such as "ndcg@10" for "nDCG@10"; None without one."""
    if name in known:
        return name
    try:
        wanted = _parts(parse_metric(name))
    except InputError:  # "exact@10" and the like are no metrics of judgements
        return None
    return next((other for other in known if not other.startswith("exact@") and _parts(parse_metric(other)) == wanted),
                None)  # fmt: skip


def _parts(metric: Metric) -> tuple[Any, ...]:
    return metric.base, metric.cutoff, metric.level, metric.persistence, metric.binary, metric.judged_only
