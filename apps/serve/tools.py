"""The Model Context Protocol over the same functions: what a language model may ask a collection."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from apps.guard import Refused
from apps.serve.docs import version
from engine.errors import WorkbenchError, missing_extra
from workbench.client import schema

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from apps.serve.app import Functions

PATH = "/mcp"
ABOUT = """Search collections of documents by late interaction. `search` finds documents for a question, `explain` shows
which words of one document answer it, `trace` tells why a document was not found. Without a collection the first one is
meant; `collections` lists them with the fields that a condition (`where`) can ask for."""

Asked = TypeVar("Asked", bound=BaseModel)
Collection = Annotated[str, Field(description="Name of a collection; the first one when empty.")]


def check_installed() -> None:
    """Raise MissingExtraError unless the protocol's package is there, before anything is loaded."""
    if find_spec("mcp") is None:
        raise missing_extra("mcp", "mcp")


def server(functions: Functions) -> MCPServer:
    """The protocol's server.

    Args:
        functions: What its tools call.

    Returns:
        The server, to be run over standard input or put behind an address.
    """
    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    async def answered(function: Any, kind: type[Asked], **values: Any) -> Any:
        try:
            return await function(kind.model_validate(values))
        except ValidationError as error:
            raise ToolError(schema.problem_sentence(error.errors()[0])) from None
        except WorkbenchError as error:
            raise ToolError(str(error)) from None
        except Refused as refused:
            raise ToolError(refused.sentence) from None

    found = MCPServer("late-interaction-workbench", instructions=ABOUT, version=version(), log_level="WARNING")

    @found.tool()
    async def search(
        question: Annotated[str, Field(description="What is looked for, in plain words.")],
        k: Annotated[int, Field(description="How many documents, 1 to 1000.")] = 5,
        collection: Collection = "",
        where: Annotated[str, Field(description='A condition on fields, such as "year >= 2020".')] = "",
    ) -> schema.SearchAnswer:
        """Find documents for a question, best first, with their texts."""
        return await answered(
            functions.search, schema.SearchRequest, question=question, k=k, collection=collection, where=where
        )

    @found.tool()
    async def explain(
        question: Annotated[str, Field(description="The question.")],
        document: Annotated[str, Field(description="Id of a document, from a search.")],
        collection: Collection = "",
    ) -> schema.ExplainAnswer:
        """Show which token of a document each token of the question met, and what that adds to the score."""
        return await answered(
            functions.explain, schema.ExplainRequest, question=question, document=document, collection=collection
        )

    @found.tool()
    async def trace(
        question: Annotated[str, Field(description="The question.")],
        document: Annotated[str, Field(description="Id of the document that is missing from a result.")],
        k: Annotated[int, Field(description="How many documents the search returned.")] = 5,
        collection: Collection = "",
    ) -> schema.IndexTrace:
        """Follow a document through a search, to the stage that lost it, and say what wins it back."""
        return await answered(
            functions.trace, schema.TraceRequest, question=question, document=document, k=k, collection=collection
        )

    @found.tool()
    async def collections() -> list[schema.CollectionAnswer]:
        """List the collections that can be searched."""
        return await functions.collections()

    return found


def routes(protocol: MCPServer) -> list[Any]:
    """The protocol at `PATH` of an application, a request at a time, without sessions.

    Args:
        protocol: See `server`; its `session_manager` has to run meanwhile.

    Returns:
        Routes. Which hosts and origins are answered is decided before them, see `apps.guard`.
    """
    from mcp.server.transport_security import TransportSecuritySettings

    unguarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    inside = protocol.streamable_http_app(
        streamable_http_path=PATH, json_response=True, stateless_http=True, transport_security=unguarded
    )
    return list(inside.routes)
