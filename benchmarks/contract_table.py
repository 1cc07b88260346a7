"""The table of what every kind of index does with the contract: run the suite, write the outcome into docs.

`python -m benchmarks.contract_table` runs tests/engine/indexes/test_contract.py and replaces what lies between the
markers in docs/indexes.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from engine.errors import InputError
from engine.indexes import BUILT_IN, index_class
from engine.indexes.base import ABILITIES

ROOT = Path(__file__).resolve().parents[1]
SUITE = "tests/engine/indexes/test_contract.py"
BEGIN, END = "<!-- {name}: generated, do not edit -->", "<!-- end of {name} -->"
MARKS = {"passed": "yes", "known": "known failure", "skipped": "not promised", "failed": "FAILS", "absent": "not run"}


def run_suite() -> dict[str, dict[str, tuple[str, str]]]:
    """Run the suite; test -> kind -> (outcome, reason). Several cases of one test count as one, the worst of them."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        subprocess.run([sys.executable, "-m", "pytest", SUITE, f"--junitxml={report}"], cwd=ROOT, check=False)
        cases = list(ElementTree.parse(report).iter("testcase"))
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for case in cases:
        test, _, parameters = case.get("name", "").removesuffix("]").partition("[")
        kind = next((name for name in sorted(BUILT_IN, key=len, reverse=True) if parameters.startswith(name)), None)
        if kind is None:
            continue
        outcome = outcome_of(case)
        before = found.setdefault(test, {}).get(kind)
        order = list(MARKS)
        if before is None or order.index(outcome[0]) > order.index(before[0]):
            found[test][kind] = outcome
    return found


def outcome_of(case: ElementTree.Element) -> tuple[str, str]:
    """What one test case came to, and why."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed", ""
    skipped = case.find("skipped")
    if skipped is None:
        return "passed", ""
    reason = skipped.get("message", "")
    if skipped.get("type") == "pytest.xfail":
        return "known", reason
    return ("skipped" if "says that it cannot" in reason else "absent"), reason


def table(found: dict[str, dict[str, tuple[str, str]]]) -> str:
    """One row a test, one column a kind, and the reasons below."""
    kinds = list(BUILT_IN)
    lines = ["| | " + " | ".join(kinds) + " |", "| --- |" + " --- |" * len(kinds)]
    reasons = []
    for test, outcomes in found.items():
        words = test.removeprefix("test_").replace("_", " ")
        cells = []
        for kind in kinds:
            outcome, reason = outcomes.get(kind, ("absent", ""))
            cells.append(MARKS[outcome])
            if outcome == "known":
                reasons.append(f"- {kind}, {words}: {reason}.")
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    absent = {outcomes[kind][1] for outcomes in found.values() for kind in outcomes if outcomes[kind][0] == "absent"}
    return "\n".join([*lines, "", *reasons, *sorted(f"- {reason}" for reason in absent if reason)]).strip()


def promises() -> str:
    """What each kind says that it can do, before anything runs."""
    kinds = {kind: index_class(kind) for kind in BUILT_IN}
    lines = ["| | " + " | ".join(kinds) + " |", "| --- |" + " --- |" * len(kinds)]
    for ability, words in ABILITIES.items():
        cells = " | ".join("yes" if ability in found.can else "no" for found in kinds.values())
        lines.append(f"| {ability}: {words} | {cells} |")
    return "\n".join(lines)


def replace_between(text: str, name: str, body: str) -> str:
    """Put a generated part between its markers.

    Raises:
        InputError: the markers are missing.
    """
    begin, end = BEGIN.format(name=name), END.format(name=name)
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise InputError(f"Expected {begin!r} and {end!r} in the page: add both lines.")
    return f"{before}{begin}\n\n{body}\n\n{end}{after}"


def main() -> None:
    """Run the suite and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "indexes.md")
    page = parser.parse_args().page
    found = run_suite()
    text = replace_between(page.read_text(encoding="utf-8"), "promises", promises())
    page.write_text(replace_between(text, "contract", table(found)), encoding="utf-8")
    failed = sorted({test for test, kinds in found.items() for kind in kinds if kinds[kind][0] == "failed"})
    print(f"{page}: {len(found)} tests, {len(BUILT_IN)} kinds, failing: {', '.join(failed) or 'none'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
