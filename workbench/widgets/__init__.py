"""Widgets for notebooks: explanations, search, judging and training, with the figures of the browser pages."""

from engine.errors import missing_extra

try:
    import ipywidgets as _ipywidgets  # noqa: F401
except ImportError:
    raise missing_extra("ipywidgets", "notebooks") from None

from workbench.widgets.explanation import ExplanationWidget
from workbench.widgets.judging import JudgingWidget
from workbench.widgets.search import SearchWidget
from workbench.widgets.training import TrainingControl

__all__ = ["ExplanationWidget", "JudgingWidget", "SearchWidget", "TrainingControl"]
