"""What `workbench serve` takes and answers, as types: the server checks requests with them, the client reads answers.

Unknown names are refused, so that no argument is ignored; the limits stand here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

LONGEST_QUESTION = 10_000  # characters
LONGEST_TEXT = 200_000  # characters of a document; models read its beginning
LONGEST_ID = 1_000
MOST_ENCODED = 256  # texts of one request: their vectors come back in one answer
MOST_RERANKED = 1_000
MOST_ADDED = 1_000
MOST_IDS = 100_000  # that a search is limited to, or that are removed
MOST_K = 1_000
MOST_FIELDS = 100
OWN_NAMES = ("id", "title", "text")

Question = Annotated[str, Field(min_length=1, max_length=LONGEST_QUESTION, description="What is looked for.")]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Id = Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
Name = Annotated[
    str, Field(max_length=LONGEST_ID, description="Of a collection that is open; the first one when it is empty.")
]
System = Annotated[
    str, Field(max_length=2_000, description='A whole system in place of index and scorer: "bm25:k=1000 > maxsim".')
]
K = Annotated[int, Field(ge=1, le=MOST_K, description="Documents that come back.")]
Value = str | int | float | bool | None | list[str | int | float | bool | None]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EncodeRequest(_Request):
    """Texts to encode to token vectors."""

    texts: list[Text] = Field(min_length=1, max_length=MOST_ENCODED)
    task: Literal["query", "document"] = "query"
    collection: Name = ""
    encoding: Literal["lists", "base64"] = Field(
        default="lists", description='"base64" is one array of all vectors: little-endian, row by row, in `dtype`.'
    )


class EncodeAnswer(_Answer):
    """Token vectors, one group a text."""

    model: str
    fingerprint: str
    task: Literal["query", "document"]
    dim: int
    dtype: Literal["float16", "float32"]
    lengths: list[int] = Field(description="Vectors of each text.")
    truncated: int = Field(description="Texts that the model read only the beginning of.")
    unread: int = Field(default=0, description="Tokens of the texts that were not read.")
    tokens: int = Field(default=0, description="All of their tokens, read or not; 0 where nobody counted.")
    added: int = Field(default=0, description="Last vectors of each text that stand for no token of it.")
    vectors: list[list[list[float]]] | None = Field(default=None, description="[texts][vectors][dim].")
    base64: str | None = None


class SearchRequest(_Request):
    """A question."""

    question: Question
    k: K = 10
    collection: Name = ""
    system: System = ""
    scorer: str = Field(
        default="", max_length=200, description='What ranks: "index", "exact", "xtr", ...; "" is the default.'
    )
    where: str = Field(default="", max_length=10_000, description='A condition on the fields: "year >= 2020".')
    ids: list[Id] | None = Field(default=None, max_length=MOST_IDS, description="Search only these documents.")
    contributions: bool = Field(default=False, description="What each query token adds to each score.")


class Hit(_Answer):
    """One document of a result."""

    rank: int
    id: str
    title: str
    score: float
    text: str
    contribution: list[float] | None = Field(
        default=None, description="One value a query token; they sum to the score."
    )
    part: str | None = Field(default=None, description="Where it stands in a longer document.")


class Among(_Answer):
    """The documents that a condition chose."""

    where: str
    documents: int
    of: int


class SearchAnswer(_Answer):
    """What a question found; the same that `workbench search --json` prints."""

    question: str
    query_tokens: list[str]
    hits: list[Hit]
    among: Among | None
    scorer: str
    system: str
    scored_on: str
    notes: list[str]
    caveat: str = Field(description="Why contributions do not sum to the score; empty where they do.")
    seconds: float


class RerankRequest(_Request):
    """Texts, or documents of a collection, to put in order."""

    question: Question
    texts: list[Text] | None = Field(default=None, min_length=1, max_length=MOST_RERANKED)
    ids: list[Id] | None = Field(default=None, min_length=1, max_length=MOST_RERANKED)
    k: Annotated[int, Field(ge=1, le=MOST_RERANKED)] | None = Field(default=None, description="All when null.")
    collection: Name = ""
    scorer: str = Field(default="maxsim", max_length=200)

    @model_validator(mode="after")
    def _one(self) -> RerankRequest:
        if (self.texts is None) == (self.ids is None):
            raise ValueError("give texts or ids, one of the two")
        return self


class Reranked(_Answer):
    """One of what was sent."""

    rank: int
    index: int = Field(description="Its place in what was sent, from 0.")
    id: str | None
    score: float


class RerankAnswer(_Answer):
    """What was sent, best first, ties by place; a text of which nothing can be scored is left out."""

    question: str
    scorer: str
    results: list[Reranked]
    seconds: float


class ExplainRequest(_Request):
    """A question, and a document or any text."""

    question: Question
    document: Id | None = Field(default=None, description="An id of the collection.")
    text: Text | None = Field(default=None, description="Any text, in place of a document.")
    collection: Name = ""
    system: System = ""
    scorer: str = Field(default="", max_length=200)

    @model_validator(mode="after")
    def _one(self) -> ExplainRequest:
        if (self.document is None) == (self.text is None):
            raise ValueError("give a document or a text, one of the two")
        return self


class Match(_Answer):
    """One query token, and the document token that it met."""

    token: str
    kind: str = Field(description='"text", or what the model added: "special", "prefix", "expansion", "whole".')
    match: str
    position: int = Field(description="Of the document token, from 0.")
    contribution: float


class ExplainAnswer(_Answer):
    """Where a score comes from; the same that `workbench explain --json` prints."""

    question: str
    document: str | None
    score: float
    matches: list[Match]
    words: dict[str, list[tuple[str, float]]] = Field(description="Stage -> words of the question, what each adds.")
    scored_on: str
    caveat: str


class TraceRequest(_Request):
    """A document to follow through a search."""

    question: Question
    document: Id
    k: K = 10
    collection: Name = ""
    system: System = ""


class TraceStage(_Answer):
    """What one stage of an index did with the document."""

    name: str
    setting: str
    limit: float
    entered: int
    kept: int
    score: float | None
    rank: int | None
    survived: bool


class IndexTrace(_Answer):
    """The way of a document through an index; the same that `workbench trace --json` prints."""

    question: str
    document: str
    k: int
    cut_by: str | None = Field(description="The setting that cut it, null where it is a result.")
    rank: int | None
    stages: list[TraceStage]
    stored_score: float
    stored_rank: int
    original_score: float | None = Field(description="Null where only the index has the vectors.")
    original_rank: int | None
    notes: list[str]
    remedy: str | None


class SystemStage(_Answer):
    """What one stage of a system did with the document."""

    stage: str
    entered: int
    sent: int
    came: bool
    survived: bool
    rank: int | None
    score: float | None
    detail: list[dict[str, Any]]


class SystemTrace(_Answer):
    """The way of a document through a system; the same that `workbench trace --system --json` prints."""

    system: str
    question: str
    document: str
    k: int
    stages: list[SystemStage]
    rank: int | None
    lost_at: str
    depth: int | None
    rank_then: int | None
    remedy: str


class CollectionAnswer(_Answer):
    """A collection that is open."""

    name: str
    documents: int
    model: str
    index: str = Field(description="Kind of index.")
    settings: dict[str, Any]
    scorer: str
    changes: bool = Field(description="Whether documents can be added and removed.")
    fields: dict[str, str] = Field(description="Name -> type, for conditions.")


class Document(_Request):
    """A document to add; the model reads title and text together."""

    id: Id
    text: Text
    title: str = Field(default="", max_length=LONGEST_ID)
    fields: dict[Annotated[str, Field(min_length=1, max_length=200)], Value] = Field(
        default_factory=dict, max_length=MOST_FIELDS, description="What conditions can ask for."
    )

    @model_validator(mode="after")
    def _named(self) -> Document:
        wrong = next((name for name in self.fields if name.lower() in OWN_NAMES or name.startswith("__")), None)
        if wrong is not None:
            raise ValueError(f"a field cannot be called {wrong!r}")
        return self


class AddRequest(_Request):
    """Documents to add; all are there afterwards, or none."""

    documents: list[Document] = Field(min_length=1, max_length=MOST_ADDED)


class CreateRequest(AddRequest):
    """A collection to make, with its first documents."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    index: str = Field(
        default="plaid", max_length=500, description="Kind and settings: plaid, plaid:bits=2, exact, ..."
    )


class RemoveRequest(_Request):
    """Ids of documents to remove; all are gone afterwards, or none."""

    ids: list[Id] = Field(min_length=1, max_length=MOST_IDS)


class HealthAnswer(_Answer):
    """That the server answers, and what with."""

    status: Literal["ok"] = "ok"
    collections: int
    documents: int
    models: list[str]
    batches: Literal["own", "shared"]
    seconds: float = Field(description="Since it was started.")


class Refusal(_Answer):
    """Why a request was not answered."""

    detail: str = Field(description="One sentence: what was expected, what came, what to do.")
    request: str = Field(default="", description="Under which name the log has it.")


def problem_sentence(problem: Mapping[str, Any], skip: int = 0) -> str:
    """What pydantic found wrong, in one sentence.

    Args:
        problem: One entry of its list.
        skip: Leading parts of the place that say nothing to the caller, such as "body".

    Returns:
        The sentence.
    """
    place = ".".join(str(part) for part in problem.get("loc", ())[skip:]) or "the request"
    told = str(problem.get("msg", "it cannot be read")).removeprefix("Value error, ")
    return f"Expected another value of {place} ({told[:200]}): correct it."
