"""NanoBEIR, thirteen small samples of BEIR, by the library's own evaluator."""

from __future__ import annotations

from collections.abc import Sequence

from engine.encoder import Encoder
from engine.errors import InputError, NotFoundError

DATA = "sentence-transformers/NanoBEIR-en"
METRIC = "_maxsim_ndcg@10"


def score_nanobeir(encoder: Encoder, names: Sequence[str] | None = None, source: str = DATA) -> dict[str, float]:
    """nDCG@10 on NanoBEIR, where its data are cached or can be fetched.

    Args:
        encoder: The model.
        names: Such as "msmarco" or "scifact"; all thirteen when None.
        source: Hub name or folder of the data.

    Returns:
        Name -> nDCG@10, and their mean under "mean".

    Raises:
        InputError: an unknown name.
        NotFoundError: the data are not here and cannot be fetched.
    """
    from sentence_transformers.multi_vector_encoder.evaluation import MultiVectorNanoBEIREvaluator

    try:
        evaluator = MultiVectorNanoBEIREvaluator(
            dataset_names=None if names is None else list(names), dataset_id=source, show_progress_bar=False
        )
    except ValueError as error:
        reason = str(error).splitlines()[0]
        if "not valid NanoBEIR" in reason or "cannot be empty" in reason:
            raise InputError(f"{reason} Give names such as msmarco or scifact.") from None
        raise NotFoundError(f"NanoBEIR could not be loaded ({reason}): connect once, or give a folder of it.") from None
    training = encoder.model.training
    encoder.model.eval()
    try:
        found = evaluator(encoder.model)
    finally:
        encoder.model.train(training)
    marks = {key.removesuffix(METRIC): float(value) for key, value in found.items() if key.endswith(METRIC)}
    return {name.removeprefix("Nano").lower() if "BEIR" not in name else "mean": v for name, v in marks.items()}
