"""The answer to the question whether late interaction is worth it: which systems are compared, and how sure it is."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from workbench.systems.text import late as late_of
from workbench.systems.text import parse_system
from workbench.systems.worth import added, size, worth

RNG = np.random.default_rng(1)
QUERIES = [f"q{i}" for i in range(80)]
EASE = RNG.random(80) * 0.5


@dataclass(frozen=True)
class Row:
    name: str
    per_query: dict[str, dict[str, float]] = field(default_factory=dict)
    p50_ms: float | None = None
    bytes: int | None = None


def row(name: str, gain: float, p50_ms: float | None = 1.0, size: int | None = 1000, noise: float = 0.1) -> Row:
    values = EASE + gain + noise * RNG.standard_normal(80)
    return Row(name, {"ndcg@10": dict(zip(QUERIES, values.tolist(), strict=True))}, p50_ms, size)


@pytest.mark.parametrize(
    ("text", "late"),
    [("bm25", False), ("single", False), ("bm25 + single", False), ("bm25 > maxsim", True), ("plaid", True),
     ("muvera:5120", True), ("(bm25 + exact):by=score", True), ("bm25 > cross-encoder:a/b", False)],
)  # fmt: skip
def test_late_interaction_is_where_token_vectors_are_compared(text: str, late: bool) -> None:
    assert late_of(parse_system(text)) == late


def test_a_clear_gain_is_told_with_its_interval_and_its_cost() -> None:
    rows = [row("bm25", 0.0, 0.3, 2_000_000), row("single", 0.1, 0.5, 3_000_000), row("plaid", 0.2, 4.0, 40_000_000),
            row("bm25 > maxsim", 0.3, 2.0, 80_000_000)]  # fmt: skip
    found = worth(rows)
    assert found is not None
    assert (found.late, found.other) == ("bm25 > maxsim", "single")
    assert 0 < found.gain.low < 0.2 < found.gain.high or found.gain.low > 0.1
    text, gain = str(found), found.gain
    assert text.startswith("Yes: over 80 questions bm25 > maxsim finds more than single, nDCG@10 +0.")
    assert f"{gain.mean:+.3f} (95%: {gain.low:+.3f} to {gain.high:+.3f})" in text
    assert text.endswith("a question takes 2 ms instead of 0.5; what is searched takes 80 MB instead of 3 MB.")
    assert f"{found.better} questions are answered better and {found.worse} worse" in text
    differences = [rows[3].per_query["ndcg@10"][q] - rows[1].per_query["ndcg@10"][q] for q in QUERIES]
    assert (found.better, found.worse) == (sum(d > 0.05 for d in differences), sum(d < -0.05 for d in differences))


def test_a_loss_is_a_no_and_noise_is_not_told() -> None:
    lost = worth([row("bm25", 0.3), row("plaid", 0.0)])
    assert lost is not None
    assert lost.answer.startswith("No: over 80 questions plaid finds less than bm25, ")
    unsure = worth([row("bm25", 0.1, None, None, noise=0.5), row("plaid", 0.1, None, None, noise=0.5)])
    assert unsure is not None
    assert unsure.answer.startswith("Not shown: over 80 questions plaid against bm25 is ")
    assert "instead of" not in str(unsure)


def test_there_is_no_answer_while_a_side_is_missing() -> None:
    assert worth([]) is None
    assert worth([row("plaid", 0.1), row("exact", 0.2)]) is None
    assert worth([row("plaid", 0.1), Row("bm25")]) is None


def test_what_a_last_stage_adds_is_told_for_systems_that_were_measured_without_it() -> None:
    rows = [row("bm25", 0.0, 1.0), row("bm25 > maxsim", 0.2, 4.0), row("plaid > maxsim", 0.2),
            row("bm25 > maxsim > cross-encoder:a/b:k=40", 0.2, None, noise=0.1), Row("plaid")]  # fmt: skip
    first, second = added(rows)
    assert (first.first, first.stage, first.milliseconds) == ("bm25", "maxsim", 3.0)
    assert first.gain.excludes_zero
    assert str(first).startswith("maxsim behind bm25 adds +0.")
    assert ", for 3 ms a question: " in str(first)
    assert (second.first, second.stage) == ("bm25 > maxsim", "cross-encoder:a/b,k=40")
    assert not second.gain.excludes_zero
    assert str(second).endswith("; that may be chance.")
    assert "a question" not in str(second)


def test_how_many_documents_a_first_stage_sends_on_is_no_other_first_stage() -> None:
    rows = [row("bm25:k1=1.2", 0.0), row("bm25", 0.0), row("plaid:bits=2", 0.1), row("bm25:k=200,k1=1.2 > maxsim", 0.2),
            row("plaid:bits=2,k=50 > maxsim", 0.2), row("bm25 + single > maxsim", 0.2)]  # fmt: skip
    assert [(gain.first, gain.stage) for gain in added(rows)] == [
        ("bm25:k=200,k1=1.2", "maxsim"), ("plaid:k=50,bits=2", "maxsim"),
    ]  # fmt: skip
    differences = [rows[3].per_query["ndcg@10"][q] - rows[0].per_query["ndcg@10"][q] for q in QUERIES]
    assert added(rows)[0].gain.mean == pytest.approx(float(np.mean(differences)))


def test_sizes_are_told_in_the_unit_of_a_person() -> None:
    assert [size(n) for n in (12, 1500, 2_340_000, 5 * 10**9)] == ["12 bytes", "1.5 kB", "2.34 MB", "5 GB"]
