"""The model card of a run, written from its record alone."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from engine.training.settings import TrainSettings

if TYPE_CHECKING:
    from engine.training.evaluation import Score
    from engine.training.report import Report


def _command(report: Report) -> str:
    """The command that runs this again: every setting that is not the usual one is in it."""
    usual = TrainSettings().to_dict()
    options = {"base": "--model", "output": "--output", "seed": "--seed", "device": "--device"}
    words = ["workbench", "train", "--data", report.data_name]
    if report.development is not None:
        words += ["--collection", report.development]
    for name, value in report.settings.items():
        if name in ("base", "output") or (name in options and value != usual[name]):
            words += [options[name], str(value)]
        elif value != usual[name]:
            words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)


def model_card(report: Report) -> str:
    """Write a card: what the model is, data, settings, scores, versions and how to run it again.

    Args:
        report: Of the run.

    Returns:
        Markdown with the front matter of the hub.
    """
    settings = report.settings
    command = _command(report)
    rows = "\n".join(f"| {name} | {count:,} |" for name, count in report.counts.items())
    return f"""---
library_name: sentence-transformers
tags: [late-interaction, multi-vector, colbert]
base_model: {settings["base"]}
---

# {settings["output"].rstrip("/").rpartition("/")[2]}

A late-interaction model with vectors of {report.encoder.dim} dimensions, trained from {settings["base"]} with the
{settings["loss"]} loss: {report.steps} steps of {settings["batch"]} rows in {report.seconds:.0f} s ({report.reason}).

{_scores(report)}
## Data

{report.data_name}

| rows | count |
| --- | --- |
{rows}

## Settings

```json
{json.dumps(settings, indent=1)}
```

## Versions

{", ".join(f"{name} {number}" for name, number in report.versions.items())}

## Use

```python
from sentence_transformers import MultiVectorEncoder

model = MultiVectorEncoder("{settings["output"]}")
```

## Train again

```
{command}
```

All settings are in `report.json`; the same data, settings, versions and device give the same weights.
"""


def _scores(report: Report) -> str:
    if report.before is None or report.after is None:
        return ""
    return f"""## Quality

nDCG@10 on {report.development}, {len(report.after.per_query)} queries, 95% bootstrap intervals over queries.

| | nDCG@10 | interval |
| --- | --- | --- |
{_row("before", report.before)}
{_row("after", report.after)}

Better by more than .05: {len(report.better)} queries, worse: {len(report.worse)}; paired randomisation test
p = {report.p_value:.3f}.

"""


def _row(name: str, score: Score) -> str:
    return f"| {name} | {score.ndcg:.4f} | {score.low:.4f} to {score.high:.4f} |"
