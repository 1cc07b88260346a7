"""Where a document was lost: the stage, its rank there, and a remedy that is tried before it is told."""

from __future__ import annotations

import pytest

from engine import maxsim
from engine.errors import InputError, NotFoundError
from workbench.experiments.prepare import Prepared
from workbench.systems import System, build, losses, trace

K = 3


@pytest.fixture(scope="module")
def systems(made: Prepared) -> dict[str, System]:
    texts = ("bm25", "bm25:k=5 > maxsim", "bm25:k=4 + single:k=4 > maxsim", "exact:k=20 > top-mean:k=5",
             "(bm25:k=9 + single:k=9):k=6 > maxsim")  # fmt: skip
    return {text: build(text, made) for text in texts}


def ranks(system: System, text: str, question: str) -> list[str]:
    """All documents in the order of a finder alone."""
    return build(text, system.material.prepared).search([question], len(system))[0].ids


def test_every_document_of_every_question_is_traced_to_the_stage_that_dropped_it(systems: dict[str, System]) -> None:
    for text, system in systems.items():
        for question in list(system.collection.queries.values())[:2]:
            answer = system.answer(system.ask([question])[0], K)
            for name in list(system.collection.documents)[::6]:
                found = trace(system, question, name, K)
                assert [stage.stage for stage in found.stages] == [entry.stage for entry in answer.passed]
                if name in answer.ids:
                    assert found.rank == answer.ids.index(name) + 1
                    assert found.lost_at == found.remedy == ""
                    continue
                assert found.rank is None
                assert found.remedy
                position = system.place_of(name)
                sent = {entry.stage: position in entry.found.positions for entry in answer.passed}
                assert not sent[found.lost_at], text
                lost = next(stage for stage in found.stages if stage.stage == found.lost_at)
                assert not lost.survived
                assert lost.came or "+" in found.lost_at  # of a fusion, where no part found it


def test_ranks_are_those_of_the_stage_alone(systems: dict[str, System]) -> None:
    system = systems["bm25:k=5 > maxsim"]
    question = next(iter(system.collection.queries.values()))
    order, prepared = ranks(system, "bm25", question), system.material.prepared
    scores = maxsim(prepared.queries.select([0]), prepared.documents)[0]
    entered = [system.place_of(name) for name in order[:5]]
    for name in system.collection.documents:
        found, position = trace(system, question, name, K), system.place_of(name)
        first, last = found.stages
        assert first.rank == (order.index(name) + 1 if name in order else None)
        assert last.score == pytest.approx(float(scores[position]), abs=1e-4)
        rivals = [place for place in entered if place != position]
        ids = system.material.ids
        ahead = sum(scores[r] > scores[position] or (scores[r] == scores[position] and ids[r] < name) for r in rivals)
        assert last.rank == 1 + ahead


def test_a_remedy_of_depth_was_tried(systems: dict[str, System], made: Prepared) -> None:
    system, tried = systems["bm25:k=5 > maxsim"], 0
    for question in system.collection.queries.values():
        for name in ranks(system, "bm25", question)[5:9]:
            found = trace(system, question, name, K)
            assert found.depth is not None
            deeper = build(f"bm25:k={found.depth} > maxsim", made).search([question], K)[0].ids
            shallower = build(f"bm25:k={found.depth - 1} > maxsim", made).search([question], len(system))[0].ids
            assert name not in shallower
            assert found.rank_then == (deeper.index(name) + 1 if name in deeper else None)
            tried += found.rank_then is not None
        if tried > 1:
            return
    pytest.fail("no document that depth wins back")


def test_words_that_are_not_shared_are_named_and_no_depth_is_promised(systems: dict[str, System]) -> None:
    system = systems["bm25:k=5 > maxsim"]
    found = trace(system, "an unheard question", next(iter(system.collection.documents)), K)
    assert (found.lost_at, found.depth) == ("bm25:k=5", None)
    assert "shares no word" in found.remedy
    assert found.stages[0].rank is None


def test_a_fusion_whose_parts_both_missed_is_told_as_such(systems: dict[str, System]) -> None:
    system = systems["bm25:k=4 + single:k=4 > maxsim"]
    seen = set()
    for question in system.collection.queries.values():
        for name in system.collection.documents:
            found = trace(system, question, name, K)
            seen.add(found.lost_at)
            if found.lost_at == "bm25:k=4 + single:k=4":
                assert not any(stage.survived for stage in found.stages)
        if len(seen) == 3:
            break
    assert seen == {"", "bm25:k=4 + single:k=4", "maxsim"}


def test_a_document_behind_those_that_a_rerank_reads_is_told_how_many_it_would_have_to_read(
    systems: dict[str, System],
) -> None:
    system = systems["exact:k=20 > top-mean:k=5"]
    question = next(iter(system.collection.queries.values()))
    order = ranks(system, "exact", question)
    found = trace(system, question, order[11], K)
    assert found.lost_at == "top-mean:k=5"
    assert "read 12 documents" in found.remedy


def test_the_trace_of_an_index_shows_its_own_stages(made: Prepared) -> None:
    system = build("hnsw:k=10 > maxsim", made)
    question = next(iter(system.collection.queries.values()))
    found = trace(system, question, ranks(system, "exact", question)[-1], K)
    assert {"name", "setting", "entered", "kept"} <= set(found.stages[0].detail[-1])
    assert found.stages[0].rank == len(system)


def test_losses_add_up_and_name_the_stage_of_each(systems: dict[str, System]) -> None:
    for text, system in systems.items():
        found = losses(system, K)
        collection = system.collection
        answers = system.search(system.ask(list(collection.queries.values())), K)
        tops = dict(zip(collection.queries, (set(answer.ids) for answer in answers), strict=True))
        missing = {
            (q, d) for q, grades in collection.qrels.items() for d, g in grades.items() if g and d not in tops[q]
        }
        assert {(entry.query, entry.document) for entry in found.lost} == missing
        assert found.relevant == sum(map(len, collection.qrels.values())) == found.found + len(missing)
        assert sum(stage.lost for stage in found.stages) == len(missing)
        for entry in found.lost[:4]:
            one = trace(system, collection.queries[entry.query], entry.document, K)
            assert entry.stage == one.lost_at, text
        assert f"{found.found} are among the first {K}" in str(found)
        assert not missing or f"of the others {found.stages[0].lost} were lost at {found.stages[0].stage}" in str(found)


def test_what_would_come_back_is_what_comes_back_with_every_document(
    systems: dict[str, System], made: Prepared
) -> None:
    system, deep = systems["bm25:k=5 > maxsim"], build("bm25:k=1000 > maxsim", made)
    found = losses(system, K)
    tops = dict(
        zip(made.collection.queries, deep.search(deep.ask(list(made.collection.queries.values())), K), strict=True)
    )
    for entry in found.lost:
        assert entry.back == (entry.document in tops[entry.query].ids)
    dropped = next(stage for stage in found.stages if stage.stage == "bm25:k=5")
    assert dropped.back == sum(entry.back for entry in found.lost if entry.stage == "bm25:k=5")
    back = sorted(entry.rank or 0 for entry in found.lost if entry.back and entry.stage == "bm25:k=5")
    assert dropped.depth == (back[(len(back) - 1) // 2] if back else None)


def test_what_cannot_be_traced_is_refused(systems: dict[str, System]) -> None:
    system = systems["bm25"]
    with pytest.raises(NotFoundError, match="no document 'nope'"):
        trace(system, "boat", "nope", K)
    with pytest.raises(InputError, match="k of 1 or more"):
        trace(system, "boat", "d00", 0)
