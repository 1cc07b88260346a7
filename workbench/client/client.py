"""The client: one method a function of the server, typed answers, and the errors of this project."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
from pydantic import BaseModel, ValidationError

from engine import TokenEmbeddings
from engine.errors import BusyError, InputError, MissingExtraError, NotFoundError, StorageError, WorkbenchError
from workbench.client import schema

KEY_VARIABLE = "WORKBENCH_KEY"
LONGEST_WAIT = 60.0  # seconds between two tries, whatever the server asks for
ERRORS: Mapping[int, type[WorkbenchError]] = {
    400: InputError, 401: InputError, 403: InputError, 404: NotFoundError, 409: InputError, 413: InputError,
    415: InputError, 422: InputError, 429: BusyError, 501: MissingExtraError, 503: BusyError, 507: StorageError,
}  # fmt: skip

Answer = TypeVar("Answer", bound=BaseModel)


class Client:
    """Asks a server that `workbench serve` started; usable by several threads at once.

    Args:
        url: Where it answers, such as "http://127.0.0.1:8765".
        key: One of its keys; the variable WORKBENCH_KEY when None, no key where that is empty.
        timeout: Seconds that an answer may take.
        retries: How often a request is sent again that the server had no room for, after the time that it names.

    Raises:
        InputError: the address is none.
    """

    def __init__(self, url: str, key: str | None = None, timeout: float = 120.0, retries: int = 3) -> None:
        key = os.environ.get(KEY_VARIABLE, "") if key is None else key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        try:
            self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)
            if self._http.base_url.scheme not in ("http", "https") or not self._http.base_url.host:
                raise httpx.InvalidURL("it does not begin with http:// and a host")
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise InputError(f"Expected the address of a server, got {url!r} ({error}): correct it.") from None
        self._retries = retries

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def encode(
        self, texts: Sequence[str], task: Literal["query", "document"] = "query", collection: str = ""
    ) -> TokenEmbeddings:
        """Encode texts to token vectors.

        Args:
            texts: Up to 256 texts.
            task: Whether they are queries or documents.
            collection: Whose model encodes them.

        Returns:
            One item a text, in the dtype that the server computes in.
        """
        asked = _request(
            schema.EncodeRequest, texts=list(texts), task=task, collection=collection, encoding="base64"
        )  # fmt: skip
        found = self._post("/encode", asked, schema.EncodeAnswer)
        values = np.frombuffer(base64.b64decode(found.base64 or ""), np.dtype(found.dtype).newbyteorder("<"))
        offsets = np.concatenate([[0], np.cumsum(found.lengths)]).astype(np.int64)
        values = values.reshape(-1, found.dim).astype(found.dtype)
        unread = found.unread, found.tokens
        return TokenEmbeddings(values, offsets, found.fingerprint, found.truncated, found.added, unread)

    def search(
        self, question: str, k: int = 10, *, collection: str = "", system: str = "", scorer: str = "",
        where: str = "", ids: Sequence[str] | None = None, contributions: bool = False,
    ) -> schema.SearchAnswer:  # fmt: skip
        """Find documents for a question.

        Args:
            question: The question.
            k: How many.
            collection: Which; the server's first when empty.
            system: A whole system in place of the index.
            scorer: What ranks.
            where: A condition on the fields of documents.
            ids: Documents to search among.
            contributions: Whether each hit says what each query token adds.

        Returns:
            The result, best first.
        """
        asked = _request(
            schema.SearchRequest, question=question, k=k, collection=collection, system=system, scorer=scorer,
            where=where, ids=None if ids is None else list(ids), contributions=contributions,
        )  # fmt: skip
        return self._post("/search", asked, schema.SearchAnswer)

    def rerank(
        self, question: str, texts: Sequence[str] | None = None, *, ids: Sequence[str] | None = None,
        k: int | None = None, collection: str = "", scorer: str = "maxsim",
    ) -> schema.RerankAnswer:  # fmt: skip
        """Put texts, or documents of a collection, in order.

        Args:
            question: The question.
            texts: Any texts.
            ids: Or ids of a collection.
            k: How many of the best come back; all when None.
            collection: Whose documents, and whose model.
            scorer: What ranks.

        Returns:
            Places of what was sent with their scores, best first.
        """
        asked = _request(
            schema.RerankRequest, question=question, texts=None if texts is None else list(texts),
            ids=None if ids is None else list(ids), k=k, collection=collection, scorer=scorer,
        )  # fmt: skip
        return self._post("/rerank", asked, schema.RerankAnswer)

    def explain(
        self, question: str, document: str | None = None, *, text: str | None = None, collection: str = "",
        system: str = "", scorer: str = "",
    ) -> schema.ExplainAnswer:  # fmt: skip
        """Show which token met which, and what that adds to the score.

        Args:
            question: The question.
            document: An id of the collection.
            text: Or any text.
            collection: Which; the server's first when empty.
            system: The system that ranks.
            scorer: What ranks.

        Returns:
            One match a query token.
        """
        asked = _request(
            schema.ExplainRequest, question=question, document=document, text=text, collection=collection,
            system=system, scorer=scorer,
        )  # fmt: skip
        return self._post("/explain", asked, schema.ExplainAnswer)

    def trace(
        self, question: str, document: str, k: int = 10, *, collection: str = "", system: str = ""
    ) -> schema.IndexTrace | schema.SystemTrace:
        """Follow a document through a search, to the stage that lost it.

        Args:
            question: The question.
            document: An id.
            k: Results that are asked for.
            collection: Which; the server's first when empty.
            system: The system that is searched in place of the index.

        Returns:
            What each stage did with it.
        """
        asked = _request(
            schema.TraceRequest, question=question, document=document, k=k, collection=collection, system=system
        )
        answer = schema.SystemTrace if system else schema.IndexTrace
        return self._post("/trace", asked, answer)

    def collections(self) -> list[schema.CollectionAnswer]:
        """The collections that are open, the one first that is searched when none is named."""
        found = self._send("GET", "/collections").json()
        return [schema.CollectionAnswer.model_validate(entry) for entry in found]

    def create(
        self, name: str, documents: Sequence[schema.Document | Mapping[str, Any]], index: str = "plaid"
    ) -> schema.CollectionAnswer:
        """Make a collection; the server needs a folder for it (`workbench serve --store`).

        Args:
            name: What it is to be called.
            documents: Its first documents, each with "id" and "text", and "title" and "fields" where they have them.
            index: Kind and settings.

        Returns:
            The collection.
        """
        asked = _request(schema.CreateRequest, name=name, index=index, documents=_documents(documents))
        return self._post("/collections", asked, schema.CollectionAnswer)

    def delete(self, name: str) -> None:
        """Remove a collection that was made by `create`, with its folder."""
        self._send("DELETE", f"/collections/{quote(name)}")

    def add(self, collection: str, documents: Sequence[schema.Document | Mapping[str, Any]]) -> schema.CollectionAnswer:
        """Add documents; when this returns they are on the disk and found. See `create`."""
        asked = _request(schema.AddRequest, documents=_documents(documents))
        return self._post(f"/collections/{quote(collection)}/add", asked, schema.CollectionAnswer)

    def remove(self, collection: str, ids: Sequence[str]) -> schema.CollectionAnswer:
        """Remove documents, and their texts."""
        asked = _request(schema.RemoveRequest, ids=list(ids))
        return self._post(f"/collections/{quote(collection)}/remove", asked, schema.CollectionAnswer)

    def health(self) -> schema.HealthAnswer:
        """That the server answers, and what with."""
        return schema.HealthAnswer.model_validate(self._send("GET", "/health").json())

    def _post(self, path: str, asked: BaseModel, answer: type[Answer]) -> Answer:
        return answer.model_validate(self._send("POST", path, asked.model_dump_json()).json())

    def _send(self, method: str, path: str, body: str | None = None) -> httpx.Response:
        headers = {} if body is None and method == "GET" else {"content-type": "application/json"}
        found = self._tried(method, path, body, headers)
        for _ in range(self._retries):
            if found.status_code != 503:
                break
            time.sleep(min(float(found.headers.get("retry-after", 1)), LONGEST_WAIT))
            found = self._tried(method, path, body, headers)
        if found.is_success:
            return found
        try:
            told = str(found.json()["detail"])
        except (ValueError, KeyError, TypeError):
            told = f"Expected an answer of `workbench serve`, got status {found.status_code}: check the address."
        raise ERRORS.get(found.status_code, WorkbenchError)(told)

    def _tried(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> httpx.Response:
        try:
            return self._http.request(method, path, content=body, headers=headers)
        except httpx.HTTPError as error:
            told = str(error) or type(error).__name__
            raise NotFoundError(
                f"No server answers at {self._http.base_url} ({told}): start one with `workbench serve`."
            ) from None


def _request(kind: type[Answer], **values: Any) -> Answer:
    """A request that is checked before it is sent."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise InputError(schema.problem_sentence(error.errors()[0])) from None


def _documents(given: Sequence[schema.Document | Mapping[str, Any]]) -> list[schema.Document]:
    return [
        entry if isinstance(entry, schema.Document) else _request(schema.Document, **dict(entry)) for entry in given
    ]
