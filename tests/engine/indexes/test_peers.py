"""What is particular to LanceDB, Qdrant and xtr-warp-rs behind the contract; without the package a test is skipped."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index, maxsim, open_index
from engine.errors import InputError, NotFoundError, UnsupportedError
from tests.conftest import ragged

RNG = np.random.default_rng(5)
DOCUMENTS = ragged(RNG, [6] * 60, 16)
QUERIES = ragged(RNG, [4, 7], 16)
IDS = [f"d{i:02d}" for i in range(60)]


def truth(k=5):
    return [[IDS[i] for i in np.argsort(-row)[:k]] for row in maxsim(QUERIES, DOCUMENTS)]


def ids_of(rankings):
    return [ranking.ids for ranking in rankings]


class TestLanceDb:
    @pytest.fixture
    def index(self, tmp_path):
        pytest.importorskip("lancedb")
        index = create_index("lancedb", tmp_path / "i", sub_vectors=8)
        index.add(IDS, DOCUMENTS)
        return index

    def test_refined_scores_are_maxsim(self, index):
        refined = index.tuned(refine=60, nprobes=1000)
        assert "exact-scores" in refined.abilities
        assert "exact-scores" not in index.abilities
        found = refined.search(QUERIES, 5)
        assert ids_of(found) == truth()
        expected = maxsim(QUERIES.select([0]), refined.stored(found[0].ids))[0]
        np.testing.assert_allclose(found[0].scores, expected, atol=1e-3)

    def test_vectors_must_have_length_one(self, index):
        longer = TokenEmbeddings(DOCUMENTS.values * 1.5, DOCUMENTS.offsets)
        with pytest.raises(InputError, match=r"cosine only, got one of length 1\.5"):
            index.add(["x"], longer.select([0]))
        with pytest.raises(InputError, match=r"cosine only"):
            index.search(longer.select([0]))
        assert len(open_index(index.path)) == 60

    def test_documents_added_later_are_indexed_too(self, index):
        index.add(["later"], QUERIES.select([1]))
        assert index.tuned(nprobes=1000, refine=20).search(QUERIES, 1)[1].ids == ["later"]
        folders = [path for path in index.path.iterdir() if path.name.startswith("native.")]
        assert len(folders) == 1

    def test_few_vectors_are_scored_one_by_one(self, tmp_path):
        pytest.importorskip("lancedb")
        small = create_index("lancedb", tmp_path / "s")
        small.add(IDS[:3], DOCUMENTS.select([0, 1, 2]))  # fewer than product quantisation can be trained on
        expected = np.sort(maxsim(QUERIES, DOCUMENTS.select([0, 1, 2]))[0])[::-1]
        np.testing.assert_allclose(small.search(QUERIES, 3)[0].scores, expected, atol=1e-3)


class TestXtrWarp:
    def test_too_few_documents_to_train_on(self, tmp_path):
        pytest.importorskip("xtr_warp")
        index = create_index("xtr-warp", tmp_path / "i")
        with pytest.raises(UnsupportedError, match="2 documents do not leave: add 3"):
            index.add(IDS[:2], DOCUMENTS.select([0, 1]))
        assert len(index) == 0

    def test_numbers_stay_true_through_removals_and_additions(self, tmp_path):
        pytest.importorskip("xtr_warp")
        index = create_index("xtr-warp", tmp_path / "i")
        index.add(IDS, DOCUMENTS)
        index.remove(IDS[10:40])  # more than a fifth: the library compacts its files
        index.add(["same", "other"], DOCUMENTS.select([5, 50]))
        index.remove([IDS[5]])
        own = index.search(DOCUMENTS.select([5]), 2)[0]
        assert own.ids[0] == "same"
        assert sorted(index.search(QUERIES, 100)[0].ids) == sorted({*IDS, "same", "other"} - {*IDS[10:40], IDS[5]})


@pytest.fixture
def server():
    """A small HTTP server that answers the requests of the client from a client in memory."""
    client_module = pytest.importorskip("qdrant_client")
    models = client_module.models
    behind = client_module.QdrantClient(":memory:")
    lock = threading.Lock()

    def answer(method, path, body):
        parts = path.partition("?")[0].strip("/").split("/")
        name, rest = parts[1] if len(parts) > 1 else "", "/".join(parts[2:])
        if parts[0] != "collections":
            return {"version": "1.20.0", "title": "test"}
        if rest == "exists":
            return {"result": {"exists": behind.collection_exists(name)}}
        if method == "PUT" and not rest:
            vectors = models.VectorParams(**body["vectors"])
            return {"result": behind.create_collection(name, vectors_config=vectors)}
        if method == "DELETE" and not rest:
            return {"result": behind.delete_collection(name)}
        if method == "PUT" and rest == "points":
            behind.upsert(name, [models.PointStruct(**point) for point in body["points"]])
        elif rest == "points/delete":
            behind.delete(name, models.PointIdsList(points=body["points"]))
        elif rest == "points/count":
            return {"result": {"count": behind.count(name).count}}
        elif rest == "points/query":
            among = models.Filter(**body["filter"]) if body.get("filter") else None
            found = behind.query_points(name, query=body["query"]["nearest"], limit=body["limit"], query_filter=among)
            return {"result": {"points": [{"id": p.id, "version": 0, "score": p.score} for p in found.points]}}
        elif rest == "points":
            found = behind.retrieve(name, body["ids"], with_vectors=True)
            return {"result": [{"id": p.id, "vector": p.vector} for p in found]}
        return {"result": {"operation_id": 0, "status": "completed"}}

    class Handler(BaseHTTPRequestHandler):
        def reply(self):
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            with lock:
                text = json.dumps({"time": 0, "status": "ok", **answer(self.command, self.path, body)}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST = do_DELETE = reply

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}", behind
    listening.shutdown()
    listening.server_close()


class TestQdrant:
    def test_a_server_by_address(self, server, tmp_path):
        address, behind = server
        index = create_index("qdrant", tmp_path / "i", address=address, collection="mine")
        assert {"crash-safe", "deterministic"} & set(index.abilities) == set()
        index.add(IDS, DOCUMENTS)
        assert behind.count("mine").count == 60
        assert ids_of(index.search(QUERIES, 5)) == truth()
        assert sorted(open_index(index.path).search(QUERIES, 3, subset=IDS[:3])[0].ids) == IDS[:3]
        np.testing.assert_allclose(index.stored([IDS[7]]).values, DOCUMENTS[7], atol=1e-6)
        best = truth(1)[0]
        index.remove(best)
        assert ids_of(index.search(QUERIES, 4))[0] == [name for name in truth()[0] if name not in best]
        assert index.describe()["elsewhere"] == address
        index.remove(index.ids)
        index.add(["again"], DOCUMENTS.select([0]))
        assert ids_of(index.search(QUERIES, 3)) == [["again"], ["again"]]

    def test_points_that_a_killed_change_left_are_not_returned(self, server, tmp_path):
        address, behind = server
        index = create_index("qdrant", tmp_path / "i", address=address, collection="mine")
        index.add(IDS, DOCUMENTS)
        models = pytest.importorskip("qdrant_client").models
        behind.upsert("mine", [models.PointStruct(id=999, vector=QUERIES[0].tolist())])
        assert ids_of(index.search(QUERIES, 5)) == truth()

    def test_a_collection_of_others_is_left_alone(self, server, tmp_path):
        address, _ = server
        create_index("qdrant", tmp_path / "i", address=address, collection="mine").add(IDS, DOCUMENTS)
        second = create_index("qdrant", tmp_path / "j", address=address, collection="mine")
        with pytest.raises(InputError, match="already holds points in collection 'mine'"):
            second.add(IDS[:2], DOCUMENTS.select([0, 1]))
        assert len(second) == 0

    def test_no_server_is_one_sentence(self, tmp_path):
        pytest.importorskip("qdrant_client")
        index = create_index("qdrant", tmp_path / "i", address="http://127.0.0.1:9", collection="mine")
        with pytest.raises(NotFoundError, match=r"No Qdrant server answers at http://127\.0\.0\.1:9"):
            index.add(IDS[:1], DOCUMENTS.select([0]))

    def test_address_and_collection_go_together(self, tmp_path):
        pytest.importorskip("qdrant_client")
        with pytest.raises(InputError, match="both address and collection"):
            create_index("qdrant", tmp_path / "i", address="http://127.0.0.1:6333")
