"""Experiment: a frozen, typed description of what to run, readable and writable as YAML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from engine.checks import meant, require_whole
from engine.errors import InputError, NotFoundError
from engine.evaluation import SAME_IDS, SameIds
from engine.indexes import index_class
from engine.maxsim import scorers
from engine.metrics import DEFAULT_METRICS, check_metrics
from engine.pooling import METHODS, PoolSettings, pool_values
from engine.precision import DTYPES
from workbench.systems.text import late, parse_system

INDEX, EXACT = "index", "exact"  # scorers beside those of engine.maxsim.scorers
STORED = ("float16", "float32")
POOL_FIELDS = ("factor", "method", "protected")  # of pooling that are fields of their own, pool_factor and so on


@dataclass(frozen=True)
class Experiment:
    """What to run: the same experiment gives the same rankings.

    Args:
        collection: A name or path for `load_collection`.
        model: A name or path for `Encoder.load`, which may say how documents are read: "embedded?windows=256:32".
        dtype: What the model computes in: "auto", "float32", "bfloat16", "float16" or "int8".
        vectors: How token vectors are kept: "float16" or "float32".
        dim: Leading coordinates of nested (Matryoshka) vectors that are used; None uses all.
        pool_method: How token vectors are merged.
        pool_factor: Tokens per remaining token; 1 keeps all, infinity merges all unprotected ones into one.
        pool_protected: First tokens of a document that stay as they are.
        pool: Budgets beside the factor, as `engine.pooling.parse_pool` reads them: "tokens=64", "distance=.3", "once",
            "importance=.5". It may name factor, method and protected tokens too, which then are those above.
        index: Kind of index.
        settings: Settings of the index; those left out have their defaults.
        scorer: "index" ranks by the scores of the index; "exact" reranks its k documents by exact MaxSim on the vectors
            before pooling and compression, and a name of `engine.maxsim.scorers`, such as "xtr", by that scorer.
        system: A whole system in place of index, settings and scorer, as `workbench.systems` reads it; kept as the one
            text that stands for it. Its late stages hold the pooled vectors.
        where: A condition on the rows of the collection, such as "year >= 2020": only the documents that fit it are
            searched, and only they are judged; "" searches all.
        k: Documents a query; where a metric looks deeper, as many are searched for.
        metrics: Names that ranx knows; none leaves judgements out, and only the share of exact results is measured.
        same_ids: What the metrics make of a document that has its query's id; see `engine.evaluate`.
        seed: Of the bootstrap, and of the index when it has a seed that `settings` leaves open; 0 leaves the index its
            own default.

    Raises:
        InputError: an unknown name or an impossible value, before anything is loaded.
    """

    collection: str = "embedded"
    model: str = "embedded"
    dtype: str = "auto"
    vectors: str = "float16"
    dim: int | None = None
    pool_method: str = "hierarchical"
    pool_factor: float = 1.0
    pool_protected: int = 1
    pool: str = ""
    index: str = "exact"
    settings: Mapping[str, Any] = field(default_factory=dict)
    scorer: str = "index"
    system: str = ""
    where: str = ""
    k: int = 100
    metrics: tuple[str, ...] = DEFAULT_METRICS
    same_ids: SameIds = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("collection", "model", "scorer"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise InputError(f"Expected a name or path as {name}, got {getattr(self, name)!r}: write one.")
        if not isinstance(self.where, str):
            raise InputError(f"Expected a condition such as year >= 2020 as where, got {self.where!r}: write a text.")
        object.__setattr__(self, "where", self.where.strip())
        self._check_pool()
        for name, known in (("dtype", DTYPES), ("vectors", STORED), ("same_ids", SAME_IDS)):
            if getattr(self, name) not in known:
                raise InputError(f"Unknown {name} {getattr(self, name)!r}: choose among {', '.join(known)}.")
        if self.dim is not None:
            require_whole("dim", self.dim)
        if self.scorer == scorers.DEFAULT:
            object.__setattr__(self, "scorer", EXACT)
        if self.scorer not in (INDEX, EXACT):
            scorers.check(self.scorer)
        for name, least in (("k", 1), ("seed", 0)):
            require_whole(name, getattr(self, name), least)
        self._check_metrics()
        if not isinstance(self.settings, Mapping):
            raise InputError(f"Expected settings as names and values, got {self.settings!r}: write a mapping.")
        object.__setattr__(self, "settings", dict(self.settings))
        index_class(self.index, self.settings).parse_settings(dict(self.settings))
        if self.system != "":
            self._check_system()

    def _check_system(self) -> None:
        tree = parse_system(self.system)
        object.__setattr__(self, "system", str(tree))
        for name, default in (("index", "exact"), ("settings", {}), ("scorer", INDEX)):
            if getattr(self, name) != default:
                raise InputError(
                    f"A system names its own stages, so {name} {getattr(self, name)!r} beside the system "
                    f"{self.system!r} means nothing: leave one of the two out."
                )
        if not late(tree) and not (self.pooling.keeps_all and self.dim is None):
            raise InputError(
                f"The system {self.system!r} holds no token vectors, so pooling and dim change nothing: leave them out."
            )

    def _check_pool(self) -> None:
        """Spread what `pool` says over the fields, and hold all of it against each other."""
        budget = pool_values(self.pool)
        for name in POOL_FIELDS:
            said, beside = budget.get(name), f"pool_{name}"
            if said is not None and getattr(self, beside) not in (said, _default(FIELDS[beside])):
                raise InputError(
                    f"Expected one {name} of pooling, got {said} in pool and {getattr(self, beside)} in {beside}: "
                    "leave one of the two out."
                )
            if said is not None:
                object.__setattr__(self, beside, said)
        if self.pool_method not in METHODS:
            raise InputError(f"Unknown pool_method {self.pool_method!r}: choose among {', '.join(METHODS)}.")
        require_whole("pool_protected", self.pool_protected, 0)
        factor = self.pool_factor
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not factor >= 1:
            raise InputError(f"Expected a pool_factor of 1 or more, got {factor!r}: 1 keeps every token.")
        object.__setattr__(self, "pool_factor", float(factor))
        object.__setattr__(self, "pool", self.pooling.budget)

    @property
    def pooling(self) -> PoolSettings:
        """How token vectors are made fewer, all of it."""
        own = {name: getattr(self, f"pool_{name}") for name in POOL_FIELDS}
        return PoolSettings(**{**pool_values(self.pool), **own})

    def _check_metrics(self) -> None:
        if isinstance(self.metrics, str) or not isinstance(self.metrics, Sequence):
            raise InputError(f"Expected a list of metrics such as [ndcg@10], got {self.metrics!r}: write a list.")
        object.__setattr__(self, "metrics", tuple(check_metrics(self.metrics)) if self.metrics else ())

    @property
    def index_settings(self) -> dict[str, Any]:
        """The settings for `create_index`, with the experiment's seed where the kind has one and it is not 0."""
        known = {entry.name for entry in fields(index_class(self.index, self.settings).settings_class)}
        return {**({"seed": self.seed} if "seed" in known and self.seed else {}), **self.settings}

    def with_(self, **changes: Any) -> Experiment:
        """A changed copy; "settings.bits" style names, as in `with_(**{"settings.bits": 2})`, change one setting.

        A `pool` takes the place of all that was said of pooling before.

        Raises:
            InputError: an unknown field or an impossible value.
        """
        plain = {name: value for name, value in changes.items() if "." not in name}
        settings = dict(plain.pop("settings", self.settings))
        for name, value in changes.items():
            head, dot, tail = name.partition(".")
            if dot and head != "settings":
                raise InputError(f"Expected settings.NAME or a field, got {name!r}: write settings.{tail}.")
            if dot:
                settings[tail] = value
        _known(plain)
        if "pool" in plain:
            plain = {**{f"pool_{name}": _default(FIELDS[f"pool_{name}"]) for name in POOL_FIELDS}, **plain}
        return replace(self, **plain, settings=settings)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values; an infinite factor is "inf"."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        factor = values["pool_factor"]
        return {**values, "metrics": list(self.metrics), "pool_factor": "inf" if math.isinf(factor) else factor}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Experiment:
        """Build from names and values, such as a parsed YAML file.

        Raises:
            InputError: an unknown name (with the closest known one) or an impossible value.
        """
        if not isinstance(values, Mapping):
            raise InputError(f"Expected an experiment as names and values, got {type(values).__name__}: see the docs.")
        _known(values)
        changed = dict(values)
        if changed.get("pool_factor") in ("inf", "one", ".inf"):
            changed["pool_factor"] = math.inf
        if changed.get("settings") is None:
            changed.pop("settings", None)
        return cls(**changed)

    def to_yaml(self, every: bool = False) -> str:
        """The fields that differ from the defaults, and always collection, model and index, as YAML; or every field."""
        import yaml

        values, always = self.to_dict(), ("collection", "model", "index")
        if every:
            return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        kept = {
            entry.name: values[entry.name]
            for entry in fields(self)
            if entry.name in always or getattr(self, entry.name) != _default(entry)
        }
        return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str, source: str = "the text") -> Experiment:
        """Parse YAML.

        Raises:
            InputError: no YAML, or what `from_dict` raises.
        """
        import yaml

        try:
            values = yaml.safe_load(text)
        except (yaml.YAMLError, RecursionError) as error:
            place = getattr(error, "problem_mark", None)
            line = f" in line {place.line + 1}" if place is not None else ""
            raise InputError(f"Expected YAML in {source}, found a mistake{line}: correct it.") from None
        return cls.from_dict({} if values is None else values)

    @classmethod
    def read(cls, path: str | Path) -> Experiment:
        """Read a YAML file; see `from_yaml`.

        Raises:
            NotFoundError: there is no such file.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (FileNotFoundError, IsADirectoryError):
            raise NotFoundError(f"There is no file {path}: give the YAML file of an experiment.") from None
        except UnicodeDecodeError:
            raise InputError(f"{path} is no text in UTF-8: give the YAML file of an experiment.") from None
        return cls.from_yaml(text, str(path))

    def write(self, path: str | Path) -> None:
        """Write a YAML file."""
        Path(path).write_text(self.to_yaml(), encoding="utf-8")


FIELDS = {entry.name: entry for entry in fields(Experiment)}


def _default(entry: Any) -> Any:
    return entry.default if entry.default is not MISSING else entry.default_factory()


def _known(values: Mapping[str, Any]) -> None:
    known = [entry.name for entry in fields(Experiment)]
    unknown = next((name for name in values if name not in known), None)
    if unknown is not None:
        hint = meant(str(unknown), known, f"it knows {', '.join(known)}.")
        raise InputError(f"An experiment has no {unknown!r}: {hint}")
