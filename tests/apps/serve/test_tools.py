"""The Model Context Protocol, asked by its own client: the tools, their answers and their refusals."""

from __future__ import annotations

from typing import Any

import pytest

from apps.serve.app import Functions
from tests.conftest import finished

QUESTION = "index of the largest value"


@pytest.fixture(scope="module")
def mcp() -> Any:
    return pytest.importorskip("mcp", reason="needs pip install 'late-interaction-workbench[mcp]'")


def test_a_language_model_searches_explains_and_traces(mcp: Any, functions: Functions) -> None:
    from apps.serve import tools

    async def asked() -> dict[str, Any]:
        async with mcp.Client(tools.server(functions)) as client:
            listed = await client.list_tools()
            calls = {
                "search": {"question": QUESTION, "k": 2, "where": "year < 2021"},
                "explain": {"question": QUESTION, "document": "argmax"},
                "trace": {"question": QUESTION, "document": "sleep", "k": 2},
                "collections": {},
            }
            found = {name: await client.call_tool(name, values) for name, values in calls.items()}
            wrong = [
                await client.call_tool("explain", {"question": QUESTION, "document": "nobody"}),
                await client.call_tool("search", {"question": QUESTION, "k": 0}),
                await client.call_tool("search", {"question": QUESTION, "where": "year <"}),
            ]
        return {"tools": listed.tools, "found": found, "wrong": wrong}

    told = finished(asked())
    assert {tool.name for tool in told["tools"]} == {"search", "explain", "trace", "collections"}
    assert all(tool.description for tool in told["tools"])
    assert all(not found.is_error for found in told["found"].values())
    answer = {name: found.structured_content for name, found in told["found"].items()}
    assert [hit["id"] for hit in answer["search"]["hits"]] == ["argmax", "sort"]
    assert answer["explain"]["score"] == pytest.approx(5.0, abs=1.0)
    assert answer["trace"]["cut_by"] == "k"
    assert answer["collections"]["result"][0]["name"] == "tiny"
    sentences = [found.content[0].text for found in told["wrong"]]
    assert all(found.is_error for found in told["wrong"])
    for sentence, part in zip(sentences, ("nobody", "k", "year <"), strict=True):
        assert part in sentence
        assert "Traceback" not in sentence
