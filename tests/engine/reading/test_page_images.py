"""Pages as pictures: ViDoRe's layout, PDF files and folders; their vectors are searched like those of texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import layouts, vision_checkpoints
from engine import Encoder, create_index, evaluate, maxsim
from engine.errors import InputError, NotFoundError, UnsupportedError
from engine.pictures import encode_pictures
from engine.reading.page_images import read_pages, read_vidore

COLOURS = ["white", "red", "blue", "green", "black"]
PAGES = {7 + i: Image.new("RGB", (56, 84), colour) for i, colour in enumerate(COLOURS)}
QUERIES = {0: "where is the total", 1: "the sum"}
JUDGED = [{"query-id": 0, "corpus-id": 8, "score": 1}, {"query-id": 1, "corpus-id": 9, "score": 1}]


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


@pytest.fixture(scope="module")
def vidore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("datasets")
    return layouts.vidore(tmp_path_factory.mktemp("vidore"), {"docvqa": (PAGES, QUERIES, JUDGED)})


@pytest.mark.parametrize("make", [vision_checkpoints.colpali, vision_checkpoints.colqwen])
def test_pages_are_encoded_indexed_and_found_by_maxsim(make, vidore: Path, tmp_path: Path) -> None:
    pages = read_vidore(str(vidore / "docvqa"))
    assert pages.collection.qrels == {"0": {"8": 1}, "1": {"9": 1}}
    assert [picture.size for picture in pages.pictures()] == [(56, 84)] * 5
    assert pages.draw("8").getpixel((3, 3)) == (255, 0, 0)
    encoder = Encoder.load(str(make(tmp_path / "model")), device="cpu", dtype="float32")
    told: list[int] = []
    documents = encode_pictures(encoder, pages.pictures(), told.append)
    assert told == [4, 5]
    alone = encoder.model.encode_document([pages.draw("9")], convert_to_numpy=True)[0]
    np.testing.assert_allclose(documents[2], alone, atol=1e-5)
    queries = encoder.encode_query(list(pages.collection.queries.values()))
    names = list(pages.collection.documents)
    exact = maxsim(queries, documents)
    for kind, settings in (("exact", {"dtype": "float32"}), ("plaid", {"bits": 8})):
        index = create_index(kind, tmp_path / kind, **settings)
        index.add(names, documents)
        rankings = index.search(queries, 5)
        assert set(rankings[0].ids) == set(names)
        if kind == "exact":
            assert rankings[0].scores == pytest.approx(sorted(exact[0], reverse=True), abs=1e-4)
        assert set(evaluate(rankings, pages.collection, ["ndcg@5"]).per_query["ndcg@5"]) == {"0", "1"}


def test_queries_in_one_language_and_other_layouts(tmp_path: Path, vidore: Path) -> None:
    several = [{"query-id": i, "query": text, "language": name}
               for i, (text, name) in enumerate([("where", "english"), ("où", "french")])]  # fmt: skip
    corpus = [{"corpus-id": 1, "image": {"bytes": b"", "path": "1.png"}}]
    judged = [{"query-id": i, "corpus-id": 1, "score": 1} for i in range(2)]
    layouts.write_dataset(
        tmp_path / "v2", {"corpus": {"test": corpus}, "queries": {"test": several}, "qrels": {"test": judged}}
    )
    assert list(read_vidore(str(tmp_path / "v2"), language="french").collection.queries.values()) == ["où"]
    assert len(read_vidore(str(tmp_path / "v2")).collection.queries) == 2
    with pytest.raises(InputError, match="choose among english, french"):
        read_vidore(str(tmp_path / "v2"), language="german")
    with pytest.raises(InputError, match=r"cannot|no picture"):
        read_vidore(str(tmp_path / "v2")).draw("1")
    with pytest.raises(InputError, match="choose among none"):
        read_vidore(str(vidore / "docvqa"), language="german")
    texts = {"corpus": {"test": [{"_id": "a", "text": "b"}]}, "queries": {"test": several}, "qrels": {"test": judged}}
    layouts.write_dataset(tmp_path / "texts", texts)
    with pytest.raises(InputError, match="not in the layout of ViDoRe"):
        read_vidore(str(tmp_path / "texts"))
    with pytest.raises(NotFoundError):
        read_vidore(str(tmp_path / "nothing"))


def test_pages_of_pdf_files_and_pictures_of_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    (tmp_path / "in").mkdir()
    pages = [Image.new("RGB", (200, 100), colour) for colour in ("white", "red")]
    pages[0].save(tmp_path / "in" / "report.pdf", save_all=True, append_images=pages[1:])
    Image.new("RGBA", (40, 60), "blue").save(tmp_path / "in" / "scan.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    found = read_pages(tmp_path / "in", width=300)
    assert list(found.collection.documents) == ["report.pdf#p1", "report.pdf#p2", "scan.png"]
    assert str(found.collection.parts["report.pdf#p2"]) == "report.pdf, page 2 of 2"
    drawn = found.draw("report.pdf#p2")
    assert (drawn.mode, drawn.width) == ("RGB", 300)
    red, green, _ = np.asarray(drawn)[75, 150]
    assert green < 60 < red
    assert found.draw("scan.png").size == (40, 60)
    assert len(read_pages(tmp_path / "in" / "report.pdf").collection.documents) == 2
    with pytest.raises(NotFoundError, match="no page"):
        found.draw("report.pdf#p9")
    (tmp_path / "in" / "broken.pdf").write_text("no PDF")
    with pytest.raises(InputError, match=r"broken.pdf cannot be read"):
        read_pages(tmp_path / "in")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no PDF files and no pictures"):
        read_pages(tmp_path / "empty")


def test_a_text_model_or_no_pictures_are_refused(embedded_encoder: Encoder) -> None:
    with pytest.raises(UnsupportedError, match="text only"):
        encode_pictures(embedded_encoder, [Image.new("RGB", (32, 32))])
