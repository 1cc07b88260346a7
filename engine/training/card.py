"""The model card of a run, written from its record alone."""

from __future__ import annotations

import json

from engine.training.development import Score
from engine.training.report import Report
from engine.training.settings import TrainSettings


def _program(report: Report) -> str:
    """What runs this again: every setting that is not the usual one is in it."""
    usual = TrainSettings().to_dict()
    changed = {name: value for name, value in report.settings.items() if name == "base" or value != usual[name]}
    lines = "".join(f"    {name}={value!r},\n" for name, value in changed.items())
    names, options = "TrainSettings, fine_tune, read_training_data", ""
    first = ""
    if report.development is not None:
        first, options = (
            "from engine import load_collection\n",
            f", development=load_collection({report.development!r})",
        )
    return f"""{first}from engine.training import {names}

settings = TrainSettings(
{lines})
fine_tune(settings, read_training_data({report.data_name!r}){options})"""


def model_card(report: Report) -> str:
    """Write a card: what the model is, data, settings, scores, versions and how to run it again.

    Args:
        report: What the run gave back.

    Returns:
        Markdown with the front matter of the hub.
    """
    settings = report.settings
    rows = "\n".join(f"| {name} | {count:,} |" for name, count in report.counts.items())
    return f"""---
library_name: sentence-transformers
tags: [late-interaction, multi-vector, colbert]
base_model: {settings["base"]}
---

# {settings["output"].rstrip("/").rpartition("/")[2]}

A late-interaction model with vectors of {report.encoder.dim} dimensions, trained from {settings["base"]} with the
{settings["loss"]} loss over {settings["scorer"]}: {report.steps} steps of {settings["batch"]} rows in
{report.seconds:.0f} s ({report.reason}).{_kept(report)}

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
from engine import Encoder

encoder = Encoder.load("{settings["output"]}")
```

`MultiVectorEncoder` of sentence-transformers loads it too; where the head is one of this project's, with this package
installed and `trust_remote_code=True`.

## Train again

```python
{_program(report)}
```

All settings, with the mini-batch that was chosen, are in `report.json`; the same data, settings, versions and device
give the same weights.
"""


def _kept(report: Report) -> str:
    if not report.measured:
        return ""
    return (
        f" The weights are those of step {report.kept} of {report.steps}, the best of {len(report.measured)} that were "
        f"measured on {report.chosen_on}, questions set apart for that."
    )


def _scores(report: Report) -> str:
    if report.before is None or report.after is None:
        return ""
    return f"""## Quality

nDCG@10 on {report.development}, {len(report.after.per_query)} queries, 95% bootstrap intervals over queries.

| | nDCG@10 | interval |
| --- | --- | --- |
{_row("before", report.before)}
{_row("after", report.after)}

{_curves(report)}Better by more than .05: {len(report.better)} queries, worse: {len(report.worse)}; paired
randomisation test p = {report.p_value:.3f}.

"""


def _curves(report: Report) -> str:
    if not report.curves:
        return ""
    factors = list(report.curves["after"])
    lines = [
        f"| {when} | " + " | ".join(f"{curve[factor].ndcg:.4f}" for factor in factors) + " |"
        for when, curve in report.curves.items()
    ]
    names = [f"{factor:g}" for factor in factors]
    return "\n".join([f"| pool factor | {' | '.join(names)} |", "|" + " --- |" * (len(names) + 1), *lines]) + "\n\n"


def _row(name: str, score: Score) -> str:
    return f"| {name} | {score.ndcg:.4f} | {score.low:.4f} to {score.high:.4f} |"
