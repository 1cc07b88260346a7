"""The tables of docs/pool-factor.md, from what the pool study wrote.

    workbench pool-study --report docs/pool-factor --collection ... --collection ...
    python -m benchmarks.pool_page

The study's own page, docs/pool-factor/results.md, has every number; this one shows the parts that its text is about.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from benchmarks.contract_table import ROOT, replace_between

PAGE, REPORT = ROOT / "docs" / "pool-factor.md", ROOT / "docs" / "pool-factor"
PARTS = {
    "length": "By document length",
    "type": "By query type",
    "front": "The joint front of factor and bits",
    "equal": "Fewer vectors against fewer bits at equal bytes",
}


def sections(text: str) -> dict[str, dict[str, str]]:
    """Collection -> heading -> its text, from the study's page."""
    found: dict[str, dict[str, str]] = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        pieces = re.split(r"^### ", body, flags=re.MULTILINE)[1:]
        found[name.strip()] = {piece.partition("\n")[0].strip(): piece.partition("\n")[2].strip() for piece in pieces}
    return found


def curve(records: list[dict[str, Any]]) -> str:
    """One row a collection: the difference to factor 1 at each factor, exact search, hierarchical pooling."""
    records = [{**record, "factor": float(record["factor"])} for record in records]  # all-in-one is the text "inf"
    shown = [record for record in records if (record["index"], record["method"]) == ("exact", "hierarchical")]
    shown = [record for record in shown if not record.get("pool") and record["bits"] == 16]  # factors alone
    factors = sorted({record["factor"] for record in shown} - {1.0})
    names = ["one" if math.isinf(factor) else f"{factor:g}" for factor in factors]
    rows = [f"| collection | questions | factor 1 | {' | '.join(names)} |", "| --- " * (len(factors) + 3) + "|"]
    for name in dict.fromkeys(record["collection"] for record in shown):
        mine = {record["factor"]: record for record in shown if record["collection"] == name}
        cells = [_cell(*mine[factor]["difference"]) if factor in mine else "" for factor in factors]
        rows.append(f"| {name} | {mine[1.0]['queries']} | {mine[1.0]['mean']['ndcg@10']:.3f} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(difference: float, low: float, high: float) -> str:
    text = f"{difference:+.3f}"
    return f"**{text}**" if low > 0 or high < 0 else text


def main() -> None:
    """Replace every part of the page."""
    page, found = PAGE.read_text(encoding="utf-8"), sections((REPORT / "results.md").read_text(encoding="utf-8"))
    records = json.loads((REPORT / "results.json").read_text(encoding="utf-8"))
    page = replace_between(page, "curve", curve(records))
    for name, heading in PARTS.items():
        tables = [f"{collection}:\n\n{parts[heading]}" for collection, parts in found.items() if parts.get(heading)]
        page = replace_between(page, name, "\n\n".join(tables))
    PAGE.write_text(page, encoding="utf-8")
    print(f"{PAGE.name}: {', '.join(found)}")


if __name__ == "__main__":
    main()
