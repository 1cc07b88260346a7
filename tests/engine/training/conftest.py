"""A tiny random BERT with a WordPiece vocabulary, made here, pairs that it can learn, and runs that are killed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sentence_transformers import MultiVectorEncoder
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from engine import Collection
from engine.training import Event, Step, TrainingData, TrainSettings, read_training_data

torch.set_num_threads(1)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["what", "is", "the", "a", "of", "how", "to", "find", "?", ".", "and", "with", "for", "in"]
TOPICS = [
    f"{a}{b}"
    for a in ("ka", "lo", "mi", "ru", "se", "to")
    for b in ("ba", "den", "fi", "gor", "lun", "nax", "pel", "vi")
]


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a plain BERT of two layers and 32 dimensions, a few hundred KB."""
    folder = tmp_path_factory.mktemp("backbone")
    pieces = [chr(c) for c in range(97, 123)] + [f"##{chr(c)}" for c in range(97, 123)]
    vocabulary = {word: i for i, word in enumerate(SPECIAL + WORDS + TOPICS + pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def sentence(generator: random.Random, topic: str, length: int) -> str:
    """A document about a topic, with other words around it."""
    words = [topic, *generator.choices(WORDS, k=length)]
    generator.shuffle(words)
    return " ".join(words)


@pytest.fixture(scope="session")
def rows() -> list[dict[str, str]]:
    """A question about each topic and a document of another length about it, twice."""
    generator = random.Random(0)
    return [
        {
            "query": f"what is {topic} {'?' * repeat}",
            "positive": sentence(generator, topic, generator.randint(3, 20)),
            "negative": sentence(generator, generator.choice(TOPICS), 8),
        }
        for repeat in (1, 2)
        for topic in TOPICS
    ]


@pytest.fixture(scope="session")
def pairs(rows: list[dict[str, str]]) -> TrainingData:
    return read_training_data([{"query": row["query"], "positive": row["positive"]} for row in rows])


@pytest.fixture(scope="session")
def development() -> Collection:
    """Other questions and documents about the same topics."""
    generator = random.Random(1)
    topics = TOPICS[::2]
    documents = {topic: sentence(generator, topic, 12) for topic in topics}
    queries = {f"q-{topic}": f"how to find the {topic}" for topic in topics}
    return Collection(documents, queries, {f"q-{topic}": {topic: 1} for topic in topics}, "topics")


@pytest.fixture
def settings(backbone: Path, tmp_path: Path) -> TrainSettings:
    return TrainSettings(
        base=str(backbone),
        batch=16,
        max_steps=6,
        learning_rate=2e-3,
        projection=16,
        mini_batch_tokens=256,
        device="cpu",
        output=str(tmp_path / "model"),
    )


def weights(folder: str) -> dict[str, torch.Tensor]:
    return MultiVectorEncoder(folder, device="cpu").state_dict()


class Killed(Exception):
    """Ends a run as a kill would."""


def killed_after(step: int) -> Callable[[Event], None]:
    """A listener that kills the run at a step."""

    def listen(event: Event) -> None:
        if isinstance(event, Step) and event.step == step:
            raise Killed

    return listen


def contents(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}
