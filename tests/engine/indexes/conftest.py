"""Which runs of the contract are part of every day's suite: all but what a slow library repeats at each step."""

from __future__ import annotations

import pytest

# Libraries that train anew or start threads at each change take seconds a test; their whole contract is in test-long.
SLOW_KINDS = ("fast-plaid", "lancedb", "xtr-warp")
EVERY_DAY = (
    "test_finds_what_exact_search_finds", "test_gives_back_what_it_stores", "test_subset",
    "test_reopened_in_this_process", "test_ids_keep_their_meaning_after_removal",
)  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        spec = getattr(item, "callspec", None)
        kind = None if spec is None else spec.params.get("kind")
        if item.path.name == "test_contract.py" and kind in SLOW_KINDS and item.originalname not in EVERY_DAY:  # type: ignore[attr-defined]
            item.add_marker(pytest.mark.slow)
