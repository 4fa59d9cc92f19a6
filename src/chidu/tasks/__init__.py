"""What models are good for, measured: one small file a task, and `TASKS` names them.

Metrics, baselines and the reading of files know no torch: only what tunes a model and lets it answer does.
"""

from chidu.tasks.answering import Answering
from chidu.tasks.choice import Choice
from chidu.tasks.classification import Classification
from chidu.tasks.coding import Coding
from chidu.tasks.continuation import Continuation
from chidu.tasks.generation import Generation
from chidu.tasks.summarisation import Summarisation
from chidu.tasks.task import Task
from chidu.tasks.translation import Translation

TASKS: dict[str, type[Task]] = {
    task.key: task
    for task in (
        Generation,
        Translation,
        Answering,
        Summarisation,
        Coding,
        Classification,
        Choice,
        Continuation,
    )
}

__all__ = [
    "TASKS",
    "Answering",
    "Choice",
    "Classification",
    "Coding",
    "Continuation",
    "Generation",
    "Summarisation",
    "Task",
    "Translation",
]
