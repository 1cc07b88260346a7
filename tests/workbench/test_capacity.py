"""The plan on paper: the tail against its closed form, arithmetic by hand, and what the command says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from workbench.capacity import (
    Wanted,
    assumptions,
    build_growth,
    build_seconds,
    bytes_per_token,
    measured,
    plan,
    search_ms,
    slowest_of,
)
from workbench.cli import main

PARTS = {
    "search": [{"tokens": 1e6, "p50_ms": 2.0, "source": "a.json"}, {"tokens": 4e6, "p50_ms": 3.0, "source": "a.json"}],
    "build": [{"tokens": 4e6, "seconds": 100.0, "source": "a.json"}],
    "bytes": {"bytes_per_token": 60.0, "dim": 96, "bits": 4, "source": "a.json"},
    "memory_by_index": {"value": 1.5, "source": "a.json"},
    "encode": {"tokens_a_second": 4000.0, "threads": 2, "dtype": "float32", "source": "b.json"},
    "latencies_ms": {"values": [1.0, 2.0, 3.0], "source": "c.json"},
    "call_ms": {"value": 0.5, "source": "c.json"},
}


@pytest.mark.parametrize("shards", [1, 4, 100, 1000])
def test_the_slowest_of_several_shards_has_the_distribution_of_a_maximum(shards):
    times = np.random.default_rng(3).gamma(3.0, 1.0, 400)
    drawn = slowest_of(times, shards, 50_000)
    ordered, begins = np.sort(times), np.quantile(times, 0.9)
    for share in (0.1, 0.5, 0.9, 0.99):
        level = share ** (1 / shards)  # P(slowest <= x) = F(x)^n, so its quantile is that of one shard at share^(1/n)
        if level < 0.88:
            place = int(level * 400)
            assert ordered[place - 4] <= np.quantile(drawn, share) <= ordered[place + 4]
        elif level > 0.9:
            expected = begins + (ordered[360:].mean() - begins) * np.log(0.1 / (1 - level))
            assert np.quantile(drawn, share) == pytest.approx(expected, rel=0.02)
    truth = np.random.default_rng(4).gamma(3.0, 1.0, (2000, shards)).max(axis=1)  # most of it was never measured
    assert np.median(drawn) == pytest.approx(np.median(truth), rel=0.15)
    same = slowest_of(np.full(5, 2.0), shards, 100)
    assert same.tolist() == [2.0] * 100


def test_the_parts_are_put_together_as_by_hand():
    # 60 bytes of which (96 * 4 + 48) / 8 = 54 are the residual, so 6 beside it; 128 dimensions take (512 + 64) / 8 = 72
    assert bytes_per_token(128, 4, PARTS) == 78
    assert bytes_per_token(128, 8, PARTS) == 134
    assert search_ms(9e6, PARTS) == pytest.approx(4.0)  # 1 + sqrt(tokens) / 1000
    assert build_seconds(16e6, PARTS) == pytest.approx(800)  # four times the vectors to the power of 1.5
    found = plan(Wanted(1e8, 10, 128, 4, memory=100e9, cores=8), PARTS)
    assert (found.vectors, found.index_bytes) == (1e9, 78e9)
    assert found.nodes == 2  # 78 GB times 1.5 in machines of which 70 GB count
    assert (found.shards, found.shard_tokens, found.fits) == (8, 1.25e8, True)
    assert found.build_disk_bytes == 78e9 + 256e9
    assert found.encode_hours == pytest.approx(1e9 / (16_000 * 2) / 3600)
    assert found.query_ms["p50"] == pytest.approx(search_ms(1.25e8, PARTS) * 1.5 + 0.5)  # the slowest of 1, 2, 3
    assert plan(Wanted(1e8, 10, nodes=1, memory=100e9), PARTS).fits is False
    assert plan(Wanted(1e8, 10, rate=1e6), PARTS).encode_hours < found.encode_hours


def test_two_measured_builds_say_how_time_grows():
    two = {**PARTS, "build": [{"tokens": 1e6, "seconds": 10.0}, {"tokens": 1e7, "seconds": 126.0}]}
    assert build_growth(two) == pytest.approx(1.1, abs=0.01)
    assert build_growth(PARTS) == 1.5


def test_every_measured_part_names_a_record():
    known = measured()
    named = {entry["source"] for value in known.values() for entry in (value if isinstance(value, list) else [value])}
    results = Path(__file__).parents[2] / "benchmarks" / "results"
    assert named
    assert all((results / name).is_file() for name in named)
    largest = json.loads((results / known["search"][-1]["source"]).read_text())
    assert known["search"][-1]["p50_ms"] == largest["searches"][0]["p50_ms"], "run python -m benchmarks.plan_parts"
    assert all(name in " ".join(assumptions()) for name in named)


def run(capsys, *arguments):
    try:
        main(("plan", *arguments))
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    return code, capsys.readouterr()


def test_the_command_prints_a_table_and_its_assumptions(capsys):
    code, printed = run(capsys)
    assert code == 0
    for size in ("10,000,000", "100,000,000", "1,000,000,000"):
        assert size in printed.out
    assert "plaid-large.json" in printed.err
    code, printed = run(capsys, "--documents", "100M", "--tokens", "20", "--nodes", "3", "--json")
    record = json.loads(printed.out)
    assert (code, len(record["plans"]), record["plans"][0]["nodes"]) == (0, 1, 3)
    assert record["plans"][0]["vectors"] == 2e9
    assert record["assumptions"] == assumptions()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--documents", "many"], "Expected documents as a number such as 1e8"),
        (["--documents", "0"], "Expected documents of 1 or more"),
        (["--memory", "64X"], "Expected memory as a number"),
        (["--tokens", "nan"], "Expected tokens of 1 or more"),
        (["--bits", "17"], "Expected bits among 1, 2, 4, 8, 16"),
        (["--bits", "3"], "Expected bits among 1, 2, 4, 8, 16"),
        (["--documents", "1e300"], "Expected documents of at most 1e+18"),
        (["--tokens", "1e200"], "Expected tokens of at most 1e+18"),
        (["--nodes", "-1"], "Expected nodes of 0 or more"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(capsys, arguments, words):
    code, printed = run(capsys, *arguments)
    assert code == 2
    assert words in " ".join(printed.err.split())


def test_a_plan_for_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="Expected dim of 1 or more"):
        plan(Wanted(1e6, dim=0), PARTS)


def test_no_shard_is_empty_and_one_processor_takes_twice_as_long_as_two():
    assert plan(Wanted(3, nodes=5), PARTS).shards == 3
    one, two = (plan(Wanted(1e6, nodes=1, cores=cores), PARTS) for cores in (1, 2))
    assert one.shards == two.shards == 1
    assert one.shard_ms == 2 * two.shard_ms
    assert one.build_hours == 2 * two.build_hours
