"""The functions of the server: the answers of the workbench, and one sentence with the right status for the rest."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from apps.serve.app import Functions
from tests.apps.serve.conftest import documents, folder_of
from tests.conftest import FakeEncoder
from workbench.answers import explained_values, follow, found_values, traced_values
from workbench.indexed import open_indexed, read_documents
from workbench.systems import trace
from workbench.workspace import Workspace

QUESTION = "index of the largest value"


@pytest.fixture
def workspace(functions: Functions) -> Workspace:
    return functions.catalogue.get("tiny").workspace


def ask(client: TestClient, path: str, **asked: Any) -> Any:
    found = client.post(path, json=asked)
    assert found.status_code in (200, 201), found.text
    return found.json()


def refused(client: TestClient, path: str, **asked: Any) -> tuple[int, str]:
    found = client.post(path, json=asked)
    return found.status_code, found.json()["detail"]


def test_a_search_answers_what_the_workspace_finds(client: TestClient, workspace: Workspace) -> None:
    found = ask(client, "/search", question=QUESTION, k=3, contributions=True)
    expected = found_values(workspace, workspace.search(QUESTION, 3))
    assert found | {"seconds": 0} == expected | {"seconds": 0}
    assert found["hits"][0]["id"] == "argmax"
    assert sum(found["hits"][0]["contribution"]) == pytest.approx(found["hits"][0]["score"], abs=1e-3)
    assert ask(client, "/search", question=QUESTION)["hits"][0]["contribution"] is None


def test_a_search_among_some_documents(client: TestClient) -> None:
    found = ask(client, "/search", question=QUESTION, where="year > 2020")
    assert {hit["id"] for hit in found["hits"]} == {"join", "open", "sleep", "mean", "glob", "json"}
    assert found["among"] == {"where": "year > 2020", "documents": 6, "of": 8}
    assert [hit["id"] for hit in ask(client, "/search", question="value", ids=["sort"])["hits"]] == ["sort"]
    assert refused(client, "/search", question="value", where="year >")[0] == 422
    assert refused(client, "/search", question="value", ids=["nobody"])[0] == 404


def test_a_system_ranks_in_place_of_the_index(client: TestClient, functions: Functions) -> None:
    text = "exact:k=4 > maxsim"
    found = ask(client, "/search", question=QUESTION, k=2, system=text)
    built = functions.catalogue.get("tiny").system(found["system"])
    assert built is not None
    assert [hit["id"] for hit in found["hits"]] == built.system.search([QUESTION], 2)[0].ids  # type: ignore[union-attr]
    told = ask(client, "/trace", question=QUESTION, document="sleep", k=2, system=text)
    through = asdict(trace(built.system, QUESTION, "sleep", 2))  # type: ignore[arg-type]
    assert {**told, "stages": len(told["stages"])} == {
        "system": found["system"], **through, "stages": len(through["stages"])
    }  # fmt: skip
    assert refused(client, "/search", question=QUESTION, system="exact > nothing")[0] == 422
    assert refused(client, "/search", question=QUESTION, system=text, scorer="exact")[0] == 422
    place = refused(client, "/search", question=QUESTION, system='exact > cross-encoder:"/etc"')
    assert (place[0], "folder" in place[1] or "hub" in place[1]) == (422, True)


def test_a_scorer_ranks_what_the_index_found(client: TestClient, workspace: Workspace) -> None:
    found = ask(client, "/search", question=QUESTION, scorer="xtr")
    assert found["scorer"] == "xtr"
    expected = workspace.ranked_by("xtr").search(QUESTION)
    assert [(hit["id"], hit["score"]) for hit in found["hits"]] == [(hit.id, hit.score) for hit in expected.hits]
    assert refused(client, "/search", question=QUESTION, scorer="nobody")[0] == 422


def test_an_explanation_of_a_document_and_of_any_text(client: TestClient, workspace: Workspace) -> None:
    found = ask(client, "/explain", question=QUESTION, document="argmax")
    assert found == explained_values(workspace, QUESTION, "argmax")
    text = ask(client, "/explain", question=QUESTION, text="the largest of all")
    assert [match["match"] for match in text["matches"]][-2] == "largest"
    assert refused(client, "/explain", question=QUESTION, document="nobody")[0] == 404
    assert refused(client, "/explain", question=QUESTION)[0] == 422
    assert refused(client, "/explain", question=QUESTION, document="argmax", text="both")[0] == 422


def test_a_trace_is_that_of_the_index(client: TestClient, workspace: Workspace) -> None:
    found = ask(client, "/trace", question=QUESTION, document="sleep", k=2)
    assert found == traced_values(QUESTION, follow(workspace, QUESTION, "sleep", 2, workspace.documents))
    assert found["cut_by"] == "k"
    assert found["original_rank"] is not None


def test_texts_and_documents_are_put_in_order(client: TestClient, workspace: Workspace) -> None:
    texts = ["sleep", "index of the largest value", "the value", "index of the largest value"]
    found = ask(client, "/rerank", question=QUESTION, texts=texts)
    assert [result["index"] for result in found["results"]] == [1, 3, 2, 0]  # equals by place
    assert [result["rank"] for result in found["results"]] == [1, 2, 3, 4]
    assert found["results"][0]["score"] == pytest.approx(5.0, abs=1e-2)
    best = ask(client, "/rerank", question=QUESTION, ids=["sort", "argmax", "join"], k=2)["results"]
    scores = {hit.id: hit.score for hit in workspace.search(QUESTION, 8).hits}
    assert [(one["id"], one["index"]) for one in best] == [("argmax", 1), ("sort", 0)]
    assert best[0]["score"] == pytest.approx(scores["argmax"], abs=1e-2)
    assert refused(client, "/rerank", question=QUESTION, ids=["sort", "sort"])[0] == 422
    assert refused(client, "/rerank", question=QUESTION, ids=["nobody"])[0] == 404
    assert refused(client, "/rerank", question=QUESTION, texts=["a"], ids=["sort"])[0] == 422
    assert refused(client, "/rerank", question=QUESTION, texts=["a"], scorer="index")[0] == 422


def test_vectors_as_lists_and_as_bytes(client: TestClient) -> None:
    texts = ["largest value", "sort"]
    expected = FakeEncoder().encode_query(texts)
    found = ask(client, "/encode", texts=texts)
    assert (found["lengths"], found["dim"], found["dtype"]) == ([2, 1], 16, "float32")
    for number, vectors in enumerate(found["vectors"]):
        assert np.array_equal(np.float32(vectors), expected[number])
    packed = ask(client, "/encode", texts=texts, encoding="base64", task="document")
    assert np.array_equal(np.frombuffer(base64.b64decode(packed["base64"]), "<f4"), expected.values.ravel())


def test_a_collection_is_made_grows_shrinks_and_goes(client: TestClient, functions: Functions) -> None:
    made = ask(client, "/collections", name="log", documents=documents("red apple", "green pear"), index="plaid:bits=8")
    assert (made["documents"], made["changes"], made["fields"]["n"]) == (2, True, "BIGINT")
    assert made["settings"]["bits"] == 8
    before = functions.catalogue.get("log").workspace
    grown = ask(client, "/collections/log/add", documents=documents("yellow lemon", start=2))
    assert grown["documents"] == 3
    found = ask(client, "/search", collection="log", question="yellow lemon", where="n >= 2")
    assert [hit["id"] for hit in found["hits"]] == ["d2"]
    assert len(before.search("yellow lemon").hits) == 2  # whoever began before goes on with what was there
    kept = open_indexed(folder_of(functions, "log"), before.encoder)  # another process sees the same
    assert kept.search("yellow lemon", 1).hits[0].text == "yellow lemon"
    assert refused(client, "/collections/log/add", documents=documents("again"))[0] == 422
    assert refused(client, "/collections/log/remove", ids=["d0", "nobody"])[0] == 404
    assert ask(client, "/collections/log/remove", ids=["d0"])["documents"] == 2
    assert "d0" not in read_documents(folder_of(functions, "log"))[0].documents
    assert "d0" not in [hit["id"] for hit in ask(client, "/search", collection="log", question="apple")["hits"]]
    assert refused(client, "/collections/log/remove", ids=["d1", "d2"])[0] == 422
    traced = ask(client, "/trace", collection="log", question="pear", document="d1")
    assert (traced["rank"], traced["original_rank"]) == (1, None)
    assert refused(client, "/search", collection="log", question="pear", scorer="xtr")[0] == 422
    assert ask(client, "/rerank", collection="log", question="pear", ids=["d2", "d1"])["results"][0]["id"] == "d1"
    assert refused(client, "/collections", name="log", documents=documents("x"))[0] == 422
    folder = folder_of(functions, "log")
    assert client.delete("/collections/log").status_code == 204
    assert not folder.exists()
    assert [entry.name for entry in folder.parent.iterdir()] == []
    assert refused(client, "/search", collection="log", question="pear")[0] == 404


def test_what_is_read_from_its_source_does_not_change(client: TestClient) -> None:
    for path, asked in (("add", {"documents": documents("x")}), ("remove", {"ids": ["sort"]})):
        status, told = refused(client, f"/collections/tiny/{path}", **asked)
        assert (status, "does not change" in told) == (422, True)
    assert client.delete("/collections/tiny").status_code == 422
    listed = client.get("/collections").json()
    assert [(entry["name"], entry["changes"]) for entry in listed] == [("tiny", False)]
    assert client.get("/collections/tiny").json() == listed[0]
    assert listed[0]["fields"]["year"] == "BIGINT"


@pytest.mark.parametrize(
    ("path", "asked", "status", "told"),
    [
        ("/search", {}, 422, "question"),
        ("/search", {"question": ""}, 422, "question"),
        ("/search", {"question": "   "}, 422, "question"),
        ("/search", {"question": "x" * 10_001}, 422, "question"),
        ("/search", {"question": "a", "k": 0}, 422, "k"),
        ("/search", {"question": "a", "k": 1001}, 422, "k"),
        ("/search", {"question": "a", "k": True}, 422, "k"),
        ("/search", {"question": "a", "k": "3"}, 422, "k"),
        ("/search", {"question": "a", "deep": 3}, 422, "deep"),
        ("/search", {"question": "a", "collection": "nobody"}, 404, "nobody"),
        ("/search", {"question": "a\ud800"}, 422, "question"),
        ("/encode", {"texts": []}, 422, "texts"),
        ("/encode", {"texts": ["a"] * 257}, 422, "texts"),
        ("/encode", {"texts": "a"}, 422, "texts"),
        ("/encode", {"texts": ["a"], "task": "both"}, 422, "task"),
        ("/rerank", {"question": "a", "texts": ["x"] * 1001}, 422, "texts"),
        ("/trace", {"question": "a", "document": "nobody"}, 404, "nobody"),
        ("/collections", {"name": "../up", "documents": documents("x")}, 422, "name"),
        ("/collections", {"name": ".hidden", "documents": documents("x")}, 422, "name"),
        ("/collections", {"name": "new", "documents": []}, 422, "documents"),
        ("/collections", {"name": "new", "documents": documents("x"), "index": "nothing"}, 422, "nothing"),
        ("/collections", {"name": "new", "documents": [*documents("x"), *documents("y")]}, 422, "d0"),
        ("/collections", {"name": "new", "documents": [{"id": "a", "text": "x", "fields": {"text": 1}}]}, 422, "text"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_gets_one_sentence(
    client: TestClient, path: str, asked: dict[str, Any], status: int, told: str
) -> None:
    found = client.post(path, content=json.dumps(asked), headers={"content-type": "application/json"})
    assert (found.status_code, told in found.json()["detail"]) == (status, True), found.text
    assert found.json()["request"] == found.headers["x-request-id"]


def test_no_failure_shows_what_is_inside(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr("apps.serve.work.encoded", broken)
    status, told = refused(client, "/encode", texts=["a"])
    assert status == 500
    assert "secret" not in told


def test_other_bodies_methods_and_places(client: TestClient) -> None:
    json_type = {"content-type": "application/json"}
    assert client.post("/search", content=b"{nothing", headers=json_type).status_code == 400
    assert client.post("/search", content=b"question=a").status_code == 415
    assert client.get("/search").status_code == 405
    assert client.get("/nothing").status_code == 404
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 403
    assert client.post("/search", json={"question": "a"}, headers={"origin": "http://evil.example"}).status_code == 403
    assert all("detail" in client.get(path).json() for path in ("/search", "/nothing"))


def test_requests_are_named_counted_and_written_down(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "workbench.serve"):
        found = client.post("/search", json={"question": "value"}, headers={"x-request-id": "mine-1"})
        other = client.post("/search", json={"question": "value"}, headers={"x-request-id": "no good\tname"})
    assert found.headers["x-request-id"] == "mine-1"
    assert len(other.headers["x-request-id"]) == 16
    assert any(line.startswith("mine-1 POST '/search' 200 ") for line in caplog.messages)
    counted = client.get("/metrics").text
    assert 'workbench_requests_total{method="POST",path="/search",status="200"}' in counted
    assert 'workbench_documents{collection="tiny"} 8.0' in counted
    assert "workbench_lane_seconds_count" in counted
    client.get("/somewhere/else")
    assert 'path="other"' in client.get("/metrics").text
    assert "somewhere" not in client.get("/metrics").text


def test_the_page_of_the_functions_asks_no_other_host(client: TestClient) -> None:
    pytest.importorskip("fastapi_offline", reason="needs pip install 'late-interaction-workbench[serve]'")
    page = client.get("/docs")
    assert "http" not in page.text.replace("http-equiv", "")
    for place in ("docs/files/swagger-ui-bundle.js", "docs/files/swagger-ui.css", "openapi.json"):
        assert place in page.text
        assert client.get(f"/{place}").status_code == 200
    described = client.get("/openapi.json").json()
    assert set(described["paths"]["/search"]["post"]["responses"]) >= {"200", "401", "404", "422", "503"}
    assert client.get("/health").json()["documents"] == 8
