"""Questions for those who have none: made from texts or by a model, marked as made, and held against a person's."""

from workbench.questions.folder import write_collection
from workbench.questions.made import Question, from_texts, with_questions
from workbench.questions.trust import Trust, judged_by_hand, pool_to_judge, trust

__all__ = [
    "Question",
    "Trust",
    "from_texts",
    "judged_by_hand",
    "pool_to_judge",
    "trust",
    "with_questions",
    "write_collection",
]
