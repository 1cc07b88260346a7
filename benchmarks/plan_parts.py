"""The measured parts of `workbench plan`: `python -m benchmarks.plan_parts` gathers them into workbench/measured.json.

Each names its record in benchmarks/results, so that a record which is measured again changes the plan with it.
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.machine import RESULTS
from workbench.capacity import MEASURED

SMALL_TOKENS = 662_231  # of benchmarks.data.small_set, which "small" of plaid-large.json was measured on
SCALED = ("plaid-scale-made-100000", "plaid-scale-made-1000000")  # of benchmarks.bench_plaid_scale


def parts() -> dict[str, Any]:
    """The parts, each with its record."""

    def read(name: str) -> Any:
        return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))

    large, encoded = read("plaid-large"), read("encoding")
    scaled = [(f"{name}.json", read(name)) for name in SCALED if (RESULTS / f"{name}.json").is_file()]
    shard = next(row for row in read("indexes") if row["kind"] == "plaid")
    source, dtype = "plaid-large.json", encoded["auto"]["dtype"]
    found = {
        "search": [{"tokens": SMALL_TOKENS, "p50_ms": large["small"]["p50_ms"], "source": source},
                   {"tokens": large["tokens"], "p50_ms": large["all"]["p50_ms"], "source": source},
                   *({"tokens": record["tokens"], "p50_ms": record["searches"][0]["p50_ms"], "source": name}
                     for name, record in scaled)],
        "build": [{"tokens": record["tokens"], "seconds": record["build"]["s"], "source": name}
                  for name, record in scaled]
                 or [{"tokens": large["tokens"], "seconds": large["build"]["actual"]["seconds"], "source": source}],
        "bytes": {"bytes_per_token": large["bytes_per_token"], "dim": 96, "bits": 4, "source": source},
        "memory_by_index": {"value": large["memory_by_index"], "source": source},
        "encode": {"tokens_a_second": encoded["ways"][dtype]["tokens_a_second"], "dtype": dtype,
                   "threads": encoded["machine"]["threads"], "source": "encoding.json"},
        "latencies_ms": {"values": [round(value, 3) for value in shard["latencies_ms"]], "source": "indexes.json"},
    }  # fmt: skip
    if (RESULTS / "cluster.json").is_file():
        found["call_ms"] = {"value": read("cluster")["call_ms"], "source": "cluster.json"}
    return found


if __name__ == "__main__":
    MEASURED.write_text(json.dumps(parts(), indent=1) + "\n", encoding="utf-8")
