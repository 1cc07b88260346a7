"""A kind of another package is found, and one that is registered wrongly says who must mend what."""

from __future__ import annotations

import numpy as np
import pytest

from engine import TokenEmbeddings, create_index
from engine.errors import InputError
from engine.indexes import BUILT_IN, classes, index_class, kinds, packages
from tests.conftest import ragged


@pytest.mark.usefixtures("toy_package")
def test_a_registered_kind_is_known_beside_those_of_the_repository() -> None:
    assert kinds() == (*BUILT_IN, "broken", "misnamed", "toy")
    assert index_class("toy").kind == "toy"
    assert list(classes()) == [*BUILT_IN, "toy"]
    assert {"toy-index", "voyager", "fast-plaid", "lancedb", "qdrant-client", "xtr-warp-rs"} == set(packages())


def test_a_kind_that_nobody_registered_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="Unknown index kind 'toy': choose among exact, plaid, hnsw"):
        create_index("toy")


@pytest.mark.usefixtures("toy_package")
def test_a_registration_that_cannot_be_used_says_so() -> None:
    with pytest.raises(InputError, match=r"'broken' cannot be loaded \(AttributeError: .*NothingThere"):
        index_class("broken")
    with pytest.raises(InputError, match="Expected a subclass of Index with kind = 'misnamed'"):
        index_class("misnamed")
    with pytest.raises(InputError, match="broken, misnamed, toy"):
        index_class("toys")


@pytest.mark.usefixtures("toy_package")
def test_a_trace_carries_the_remedy_of_its_kind(tmp_path) -> None:
    rng = np.random.default_rng(0)
    index = create_index("toy", tmp_path / "i", candidates=2)
    index.add([str(i) for i in range(9)], ragged(rng, [3] * 9, 8))
    query = TokenEmbeddings.from_list([rng.standard_normal((2, 8)).astype(np.float32)])
    lost = next(name for name in index.ids if name not in index.tuned(candidates=2).search(query, 2)[0].ids)
    trace = index.trace(query, lost, 1)
    assert (trace.cut_by, trace.remedy) == ("candidates", "look at more means")
    found = index.trace(query, index.search(query, 1)[0].ids[0], 1)
    assert (found.cut_by, found.remedy) == (None, None)
