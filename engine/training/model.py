"""The model of a run: loaded, given a projection or adapters, and brought back to plain weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from engine.encoder import Encoder
from engine.errors import InputError, missing_extra
from engine.maxsim import scorers
from engine.merging import added_tokens
from engine.model_names import context_of
from engine.nested import check_dimensions, nested_dimensions
from engine.training.losses import LOSSES, LateInteractionLoss
from engine.training.probe import USUAL_MINI_BATCH
from engine.training.settings import TrainSettings
from engine.training.targets import Targets

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

MEAN_TEMPERATURE = 0.05  # of scores that are means of similarities: 1 would make all documents alike
ADAPTED = ("query", "key", "value", "dense", "q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj",
           "gate_proj", "Wqkv", "Wo", "Wi")  # fmt: skip


def load_for_training(settings: TrainSettings) -> Encoder:
    """Load the base in float32, with a new projection where it is a plain backbone.

    Args:
        settings: Name the base and, for a plain backbone, the dimensions of its projection.

    Returns:
        The encoder, its weights still as they came, the new projection drawn with the run's seed; `begin_projection`
        lets it begin at better ones.

    Raises:
        NotFoundError: no such model.
        InputError: `dimensions` above those of the model's vectors.
    """
    import torch

    encoder = Encoder.load(settings.base, device=settings.device, dtype="float32")
    if has_new_projection(encoder):
        torch.manual_seed(settings.seed)
        encoder = Encoder(_with_projection(encoder.model, settings.projection), settings.base, encoder.note)
    model = encoder.model  # what follows changes no vector, so that the fingerprint stays that of the base
    if settings.gradient_checkpointing:
        _transformer(model).gradient_checkpointing_enable({"use_reentrant": False})
    _pin_lengths(model)
    check_dimensions(settings.dimensions, model.get_embedding_dimension(), settings.base)
    return encoder


def cut_at(model: MultiVectorEncoder, settings: TrainSettings) -> dict[str, int]:
    """Tokens after which the texts of a task are cut, where the settings say: at most as many as the model reads."""
    most = context_of(model)
    given = {"query": settings.query_length, "document": settings.document_length}
    return {task: min(length, most or length) for task, length in given.items() if length}


def has_new_projection(encoder: Encoder) -> bool:
    """Whether training began, or would begin, with a plain backbone and a projection that nobody trained."""
    return encoder.note.startswith("backbone")


def build_loss(model: Any, settings: TrainSettings, noise: float = 0.0) -> LateInteractionLoss:
    """The loss and the scorer that the settings name.

    Args:
        model: A MultiVectorEncoder.
        settings: Name loss and scorer, and hold what the loss takes.
        noise: See `Targets`.

    Returns:
        The loss; its mini-batches may change after the preflight.
    """
    kind = LOSSES[settings.loss]
    scorer: Any = scorers.get(settings.scorer, dim=model.get_embedding_dimension())
    size = settings.mini_batch_tokens or USUAL_MINI_BATCH.get(model.device.type, USUAL_MINI_BATCH["cpu"])
    taken = {name: getattr(settings, name) for name in kind.loss.takes}
    if taken.get("temperature", 1.0) is None:
        taken["temperature"] = MEAN_TEMPERATURE if scorer.mean else 1.0
    dimensions, added = trained_dimensions(model, settings), len(added_tokens(model))
    return kind.loss(
        model,
        scorer=scorer.to(model.device),
        mini_batch_tokens=size,
        graph_tokens=None if kind.keeps_graph else size,
        targets=Targets(settings.pool_factors, settings.pool_weights, dimensions, noise, added),
        **taken,
    )


def trained_dimensions(model: MultiVectorEncoder, settings: TrainSettings) -> tuple[int, ...]:
    """The dimensions that the loss is taken at, ascending, the whole one among them."""
    asked = settings.dimensions or nested_dimensions(model)
    return tuple(sorted({*asked, int(model.get_embedding_dimension() or 0)}))


def prepare(model: MultiVectorEncoder, settings: TrainSettings) -> Any:
    """Choose what is trained: everything, the modules after the backbone, or adapters on it.

    Args:
        model: Changed in place.
        settings: Say which part, or the rank of the adapters.

    Returns:
        What `merge` needs afterwards.

    Raises:
        InputError: the model has no module after its backbone that could be trained.
        MissingExtraError: LoRA without peft.
    """
    import torch

    if settings.train_only == "head":
        for parameter in model[0].parameters():
            parameter.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise InputError(f"{settings.base} has no projection after its backbone: train all of it, or with LoRA.")
    if not settings.lora_rank:
        return None
    try:
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel
    except ImportError:
        raise missing_extra("peft", "train") from None
    backbone = _transformer(model)
    names = {name.rpartition(".")[2] for name, part in backbone.named_modules() if isinstance(part, torch.nn.Linear)}
    targets = sorted(names & set(ADAPTED))
    if not targets:
        raise InputError(f"LoRA knows none of the layers of {settings.base}: train all of it.")
    torch.manual_seed(settings.seed)
    config = LoraConfig(r=settings.lora_rank, lora_alpha=2 * settings.lora_rank, target_modules=targets)
    return LoraModel(backbone, config, "default")


@contextmanager
def projection_in_float32(model: MultiVectorEncoder) -> Iterator[None]:
    """While entered, autocast ends at the backbone: rounding the few last products costs more than it saves.

    Measured on all-MiniLM-L6-v2 and 24 pairs: the cosine between gradients in float32 and bfloat16 is .9969 with the
    projection and the normalisation in bfloat16, and .9978 with both in float32.

    Args:
        model: Its modules after the first are wrapped, and left as they were afterwards.
    """
    import torch

    modules: list[Any] = list(model.children())[1:]

    def wrap(forward: Any) -> Any:
        @wraps(forward)
        def in_float32(features: dict[str, Any], *arguments: Any, **options: Any) -> Any:
            vectors = features["token_embeddings"]
            with torch.autocast(vectors.device.type, enabled=False):
                return forward({**features, "token_embeddings": vectors.float()}, *arguments, **options)

        return in_float32

    for module in modules:
        module.forward = wrap(module.forward)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def merge(adapters: Any) -> None:
    """Fold trained adapters into the weights, so that the model is a plain one again.

    Args:
        adapters: What `prepare` returned.
    """
    if adapters is not None:
        adapters.merge_and_unload()
        for parameter in adapters.model.parameters():
            parameter.requires_grad_(True)


def _pin_lengths(model: MultiVectorEncoder) -> None:
    """Write down the lengths that hold anyway: PyLate, which may load what is saved, has shorter ones of its own."""
    backbone: Any = model[0]
    expands = getattr(backbone, "query_expansion", None) is not None  # its length is the query's
    for name in ("document_length",) if expands else ("query_length", "document_length"):
        if getattr(backbone, name, None) is None:
            setattr(backbone, name, model.max_seq_length)


def _transformer(model: MultiVectorEncoder) -> Any:
    module: Any = model[0]
    return module.auto_model


def _with_projection(model: MultiVectorEncoder, dim: int) -> MultiVectorEncoder:
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.base.modules.dense import Dense
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    width = model.get_embedding_dimension() or _transformer(model).config.hidden_size
    dense = Dense(width, dim, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
    torch.nn.init.orthogonal_(dense.linear.weight)  # keeps dot products better than independent entries do
    modules = [model[0], dense, MultiVectorMask(), Normalize(module_input_name="token_embeddings")]
    return MultiVectorEncoder(modules=modules, device=str(model.device))


def require_training_packages() -> None:
    """Raise MissingExtraError unless what the trainer needs is installed."""
    try:
        import accelerate  # noqa: F401
        import datasets  # noqa: F401
    except ImportError as error:
        raise missing_extra(error.name or "accelerate", "train") from None
