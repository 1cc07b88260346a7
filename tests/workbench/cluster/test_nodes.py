"""What a node has to have, said in one sentence when it has not."""

from __future__ import annotations

import pytest

from engine.errors import InputError, WorkerError
from workbench.cluster import nodes

MINE = nodes.own_mark()
SOUND = {"mark": MINE, "sees": True}


def test_a_node_like_this_one_is_welcome(tmp_path):
    nodes.check({"a": SOUND, "b": SOUND}, tmp_path, MINE)
    assert MINE["numpy"]


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ({"missing": "No module named 'workbench'"}, InputError, "Node b does not have this package .*No module named"),
        ({**SOUND, "mark": {**MINE, "version": "0.0.9"}}, InputError, r"another version of late-inter.* \(0.0.9, here"),
        ({**SOUND, "mark": {**MINE, "source": "00000000"}}, InputError, "another version of late-inter.*00000000"),
        ({**SOUND, "mark": {**MINE, "torch": "1.0"}}, InputError, r"another version of torch \(1.0, here"),
        ({**SOUND, "sees": False}, InputError, "Node b does not see .*WORKBENCH_HOME"),
        (TimeoutError("Get timed out"), WorkerError, r"Node b does not answer \(Get timed out\)"),
    ],
)
def test_a_node_that_cannot_work_is_one_sentence(tmp_path, said, kind, words):
    with pytest.raises(kind, match=words):
        nodes.check({"a": SOUND, "b": said}, tmp_path, MINE)


def test_a_node_reports_what_it_has_and_sees(tmp_path):
    with nodes.marked(tmp_path) as path:
        assert nodes.reporter()(str(path)) == SOUND
        assert nodes.reporter()(str(path) + "x")["sees"] is False
    assert list(tmp_path.iterdir()) == []


def test_the_report_travels_whole_to_a_node_without_the_package(monkeypatch):
    cloudpickle = pytest.importorskip("cloudpickle")
    packed = cloudpickle.dumps(nodes.reporter())
    monkeypatch.setitem(__import__("sys").modules, "workbench.cluster.nodes", None)  # as where it is not installed
    assert "missing" in cloudpickle.loads(packed)("/")
