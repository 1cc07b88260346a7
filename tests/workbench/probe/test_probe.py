"""Minimal pairs: what counts as right, what a file must hold, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError
from workbench.cli import main
from workbench.probe import MinimalPair, own_pairs, probe, read_pairs

TELLS = MinimalPair("entities", "hotels in porto", "a hotel in porto", "a hotel in turin", "hotels in turin")
BLIND = MinimalPair("word order", "dog bit man", "dog bit man", "man bit dog", "man bit dog")


def test_a_model_of_single_words_tells_entities_and_no_word_order(fake_encoder: Any) -> None:
    found = probe(fake_encoder, [TELLS, BLIND])
    entities, order, everything = found.phenomena
    assert (entities.name, entities.pairs, entities.right, entities.questions_right) == ("entities", 1, 1, 2)
    assert (order.right, order.questions_right, order.margin) == (0, 0, pytest.approx(0, abs=1e-6))
    assert (everything.name, everything.pairs, everything.right) == ("all", 2, 1)
    assert 0 < entities.low < 0.5 < entities.high == pytest.approx(1)  # one pair proves little


def test_a_model_that_always_prefers_one_text_has_no_pair_right(fake_encoder: Any) -> None:
    longer = MinimalPair("negation", "history of asthma", "asthma", "no history of asthma", "no history of asthma")
    found = probe(fake_encoder, [longer])
    assert found.results[0].mirror_margin is not None
    assert found.results[0].margin < 0 < found.results[0].mirror_margin
    assert (found.phenomena[0].right, found.phenomena[0].questions_right) == (0, 1)


def test_a_pair_without_a_mirror_counts_its_one_question(fake_encoder: Any) -> None:
    found = probe(fake_encoder, [MinimalPair("entities", "hotels in porto", "a hotel in porto", "a hotel in turin")])
    assert (found.phenomena[0].questions, found.phenomena[0].right) == (1, 1)
    assert found.results[0].mirror_margin is None


def test_the_pairs_of_this_project_are_mirrored_and_different() -> None:
    pairs = own_pairs()
    assert len({pair.phenomenon for pair in pairs}) >= 8
    assert len({(pair.question, pair.right) for pair in pairs}) == len(pairs)
    assert all(pair.mirror and pair.mirror != pair.question and pair.right != pair.wrong for pair in pairs)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no pairs"),
        ('{"question": "a", "right": "b"}', "add wrong"),
        ('{"question": "a", "right": "b", "wrong": " "}', "has no wrong"),
        ('{"question": "a", "right": "b", "wrong": "b "}', "same text as right and as wrong"),
        ('{"question": ["a"], "right": "b", "wrong": "c"}', "give a text"),
        ('{"question": "a", "right": "b", "wrong": "' + "c" * 10_001 + '"}', "at most 10,000"),
    ],
)
def test_a_file_that_is_no_table_of_pairs_is_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        read_pairs(path)


def test_the_command_adds_own_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("question,right,wrong\nred apples,red apples grow here,green pears grow here\n")
    main_returns = _run("probe", "--pairs", str(path), "--only-own", "--json")
    printed = json.loads(capsys.readouterr().out)
    assert main_returns == 0
    assert [entry["name"] for entry in printed["phenomena"]] == ["own pairs", "all"]
    assert printed["pairs"][0]["right_in_all"] is True
    assert _run("probe", "--only-own") == 2
    assert "--pairs" in capsys.readouterr().err


def _run(*arguments: str) -> int:
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0
