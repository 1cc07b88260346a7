"""One object, searched by many threads while one of them changes it: every answer is that of a state that was there."""

import random
import sys
import threading
import time

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index, maxsim
from engine.errors import WorkbenchError
from engine.indexes import index_class, kinds
from tests.conftest import ragged

RNG = np.random.default_rng(4)
N, DIM, TOKENS = 120, 16, 5
DOCUMENTS = ragged(RNG, [TOKENS] * N, DIM)
QUERIES = ragged(RNG, [4, 6], DIM)
IDS = [f"d{i:03d}" for i in range(N)]
STAY = IDS[:3]  # never removed


@pytest.fixture(params=kinds())
def kind(request):
    try:
        index_class(request.param).check_installed()
    except WorkbenchError as error:
        pytest.skip(str(error))
    return request.param


class Allowed:
    """The states that an answer may come from: those in force at some time between its beginning and its end."""

    def __init__(self, ids):
        self.states, self.lock = [frozenset(ids)], threading.Lock()
        self.done = 0  # the last one that is in force for certain
        self.answers = 0

    def announce(self, ids):
        with self.lock:
            self.states.append(frozenset(ids))

    def finish(self):
        self.done = len(self.states) - 1

    def since(self, first):
        return self.states[first:]


def write(index, allowed, seed, steps):
    chance, here = random.Random(seed), set(index.ids)
    for _ in range(steps):
        absent = sorted(set(IDS) - here)
        what = chance.choice(("add", "add", "remove", "compact", "refresh"))
        some = chance.sample(
            absent if what == "add" else sorted(here - set(STAY)), k=min(8, len(absent), len(here) - 10)
        )
        if what == "add" and some:
            allowed.announce(here := here | set(some))
            index.add(some, DOCUMENTS.select([IDS.index(name) for name in some]))
        elif what == "remove" and some:
            allowed.announce(here := here - set(some))
            index.remove(some)
        elif what == "compact":
            index.compact()
        else:
            index.refresh()
        allowed.finish()
        wait = time.monotonic() + 5
        answers = allowed.answers
        while allowed.answers == answers and time.monotonic() < wait:  # else the changes are over before a search is
            time.sleep(0.001)


def read(index, allowed, stop, problems, seen):
    truth = dict(zip(IDS, maxsim(QUERIES, DOCUMENTS).T, strict=True))
    while not stop.is_set():
        first = allowed.done
        found = index.search(QUERIES, 10 * N)
        states = allowed.since(first)
        if not any(set(found[0].ids) == state == set(found[1].ids) for state in states):
            problems.append(f"{sorted(found[0].ids)} and {sorted(found[1].ids)} are no state of {len(states)}")
        for number, ranking in enumerate(found):
            off = [abs(score - truth[name][number]) for name, score in zip(ranking.ids, ranking.scores, strict=True)]
            if "exact-scores" in index.abilities and max(off) > 1:  # a compressed vector is off by much less
                problems.append(f"a score of another document: off by {max(off)}")
        if "stored" in index.abilities and [len(item) for item in index.stored(STAY)] != [TOKENS] * 3:
            problems.append("vectors of another document")
        if sorted(index.search(QUERIES[:1], 5, subset=STAY)[0].ids) != STAY:
            problems.append("a subset gave other documents")
        seen.add(len(found[0]))
        allowed.answers += 1


def run(index, seed, steps, readers):
    allowed, stop, problems, seen = Allowed(index.ids), threading.Event(), [], set()

    def guarded(work, *arguments):
        try:
            work(*arguments)
        except Exception as error:
            problems.append(repr(error))

    threads = [
        threading.Thread(target=guarded, args=(read, index, allowed, stop, problems, seen)) for _ in range(readers)
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads take turns in the middle of everything
    try:
        for thread in threads:
            thread.start()
        guarded(write, index, allowed, seed, steps)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert problems == []
    return seen


def shared(kind, tmp_path):
    index = create_index(kind, tmp_path / "index")
    if "snapshots" not in index.abilities:
        pytest.skip("says that it cannot")
    first = STAY + IDS[20:70]
    index.add(first, DOCUMENTS.select([IDS.index(name) for name in first]))
    return index


def test_searches_beside_changes_answer_as_before_or_after(kind, tmp_path):
    seen = run(shared(kind, tmp_path), 1, 12, 3)
    assert len(seen) > 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_many_searches_beside_many_changes(kind, tmp_path, seed):
    assert len(run(shared(kind, tmp_path), seed, 120, 6)) > 3


def test_a_search_that_began_before_a_change_ends_in_the_old_state(kind, tmp_path):
    index = shared(kind, tmp_path)
    old, before = index._pinned(), index.search(QUERIES, 10 * N)
    names = index.ids[5:30]
    index.remove(names)
    index.add(["new"], TokenEmbeddings.from_list([QUERIES[0]]))
    index.compact()
    after = old._search(QUERIES, 10 * N, None)
    assert [set(ranking.ids) for ranking in after] == [set(ranking.ids) for ranking in before]
    assert set(index.search(QUERIES, 10 * N)[0].ids) == set(index.ids)
