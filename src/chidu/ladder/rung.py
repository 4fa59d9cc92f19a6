"""One run of a ladder: what is trained, for what, and how long that takes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from chidu.accounting import count_params, law_flops
from chidu.config import TrainConfig

Role = Literal["rung", "replicate", "probe"]


@dataclass(frozen=True)
class Rung:
    """One run of the plan."""

    config: TrainConfig
    seconds: float
    """Predicted, on one worker."""
    role: Role = "rung"
    """`rung`: for the law; `replicate`: another seed of a rung, for the noise; `probe`: another rate, for the gate."""

    @cached_property
    def params(self) -> int:
        """Total parameters, tied head counted once."""
        return count_params(self.config.model).total

    @property
    def tokens(self) -> int:
        """Training tokens."""
        return self.config.steps * self.config.batch_tokens

    @property
    def flops(self) -> float:
        """6 * params * tokens."""
        return law_flops(self.params, self.tokens)

    def to_json(self) -> dict[str, Any]:
        """The config, and what a reader wants to see beside it."""
        seen = {"id": self.config.id, "params": self.params, "tokens": self.tokens, "flops": self.flops}
        return {"role": self.role, **seen, "seconds": self.seconds, "config": self.config.to_json()}
