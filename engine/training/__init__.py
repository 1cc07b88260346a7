"""Fine-tuning that a person can watch, stop, resume and believe."""

from engine.training.cloze import document_pairs
from engine.training.data import TrainingData, collection_pairs, read_training_data
from engine.training.development import Score, score_collection
from engine.training.events import Evaluated, Event, Finished, Pinned, Saved, Started, Step, Stop
from engine.training.export import export_onnx
from engine.training.losses import LOSSES
from engine.training.mining import MiningSettings, mine
from engine.training.recipes import load_recipe, recipes
from engine.training.report import Report
from engine.training.run import fine_tune
from engine.training.saving import load_report, push_to_hub
from engine.training.settings import TrainSettings
from engine.training.teacher import CachedTeacher, add_teacher_scores

__all__ = [
    "LOSSES",
    "CachedTeacher",
    "Evaluated",
    "Event",
    "Finished",
    "MiningSettings",
    "Pinned",
    "Report",
    "Saved",
    "Score",
    "Started",
    "Step",
    "Stop",
    "TrainSettings",
    "TrainingData",
    "add_teacher_scores",
    "collection_pairs",
    "document_pairs",
    "export_onnx",
    "fine_tune",
    "load_recipe",
    "load_report",
    "mine",
    "push_to_hub",
    "read_training_data",
    "recipes",
    "score_collection",
]
