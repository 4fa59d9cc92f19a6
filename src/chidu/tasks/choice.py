"""Multiple choice: of several continuations of a prompt, the one that the model finds likeliest."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from chidu.data.hub_tokenizer import HubTokenizer
from chidu.data.tokenizer import Tokenizer
from chidu.tasks.baselines.baseline import Baseline
from chidu.tasks.baselines.likeliest import GUESS, ngram_choice
from chidu.tasks.example import Example, Prediction, text_field
from chidu.tasks.metrics.choosing import choosing
from chidu.tasks.score import Metric
from chidu.tasks.task import Task

if TYPE_CHECKING:
    from chidu.model.text import TextTokenizer


@dataclass(frozen=True, kw_only=True)
class Choice(Task):
    """Accuracy by probability and by that of a byte; the baselines are a guess and an n-gram model.

    Nothing is written: each choice is rated after the prompt, so that a model without any tuning can be asked.
    """

    key: ClassVar[str] = "choice"
    fields: ClassVar[dict[str, str]] = {
        "prompt": "what the choices go on from; `question` is taken too",
        "choices": "list of strings, which stand right after the prompt: begin them with a space where one belongs",
        "answer": "the number of the right choice, counted from 0",
    }

    tokenizer: Tokenizer | HubTokenizer | None = field(default=None, compare=False, repr=False)
    """Of the n-gram model: that of the model which is scored, so that both see the same tokens."""

    def convert(self, record: dict[str, Any]) -> Sequence[Example]:
        """See Task."""
        prompt, choices, answer = text_field(record, "prompt", "question"), record.get("choices"), record.get("answer")
        if not isinstance(choices, list) or len(choices) < 2 or not all(isinstance(c, str) and c for c in choices):
            raise ValueError('the field "choices" must hold two strings or more, none of them empty')
        if len(set(choices)) < len(choices):
            raise ValueError('two of the "choices" are the same')
        if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(choices):
            raise ValueError(f'the field "answer" must hold a number from 0 to {len(choices) - 1}')
        return [Example(source=prompt, choices=tuple(choices), targets=(choices[answer],))]

    def prompt(self, example: Example) -> str:
        """See Task: nothing is added."""
        return example.source

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Metric]:
        """See Task."""
        right = [example.choices.index(example.targets[0]) for example in examples]
        return choosing([one.choice_nats for one in predictions], [example.choices for example in examples], right)

    def baselines(self, examples: Sequence[Example]) -> list[Baseline]:
        """See Task."""
        return [GUESS, ngram_choice(self.tokenizer)]

    def to_json(self) -> dict[str, Any]:
        """See Task; without the tokenizer, which belongs to the model."""
        return {"task": self.key, **{name: value for name, value in asdict(self).items() if name != "tokenizer"}}


def encode_pair(tokenizer: "TextTokenizer", before: str, after: str) -> tuple[list[int], list[int]]:
    """Ids of two texts that follow each other: as they are together, or apart where a token would lie in both."""
    first = [int(token) for token in tokenizer.encode(before)]
    both = [int(token) for token in tokenizer.encode(before + after)]
    if both[: len(first)] == first and len(both) > len(first):
        return first, both[len(first) :]
    return first, [int(token) for token in tokenizer.encode(after)]
