"""Fine-tuning that a person can watch, stop, resume and believe."""

from engine.training.data import TrainingData, collection_pairs, read_training_data
from engine.training.evaluation import Score, development_sample, score_collection
from engine.training.events import Evaluated, Event, Finished, Pinned, Saved, Started, Step, Stop
from engine.training.report import Report
from engine.training.run import fine_tune
from engine.training.settings import TrainSettings

__all__ = [
    "Evaluated",
    "Event",
    "Finished",
    "Pinned",
    "Report",
    "Saved",
    "Score",
    "Started",
    "Step",
    "Stop",
    "TrainSettings",
    "TrainingData",
    "collection_pairs",
    "development_sample",
    "fine_tune",
    "read_training_data",
    "score_collection",
]
