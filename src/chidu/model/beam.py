"""Beam search: of all continuations, the likeliest that a narrow search finds, with a length penalty.

Shapes: N texts, K beams of each, V vocabulary, T new tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chidu.errors import InputError
from chidu.model.generation import Ids, Stop, check_prompts, read_prompts, stop_set
from chidu.model.transformer import Transformer


@dataclass(frozen=True)
class Beam:
    """A continuation that was found."""

    ids: tuple[int, ...]
    """New tokens, without the stop token."""
    score: float
    """Sum of log-probabilities, in nats, divided by length ** length_penalty; the stop token counts in both."""


@torch.inference_mode()
def beam_search(
    model: Transformer,
    prompts: Sequence[Ids],
    *,
    tokens: int,
    stop: Stop,
    beams: int = 4,
    length_penalty: float = 1.0,
    sources: Sequence[Ids] | None = None,
) -> list[list[Beam]]:
    """Search continuations of each prompt: up to `beams` of each, best first.

    A text is done when as many continuations have ended as there are beams, and the best open one, by its score so far,
    is no better than the worst of them. Penalties above 0 favour longer texts (1609.08144 has another form of it).

    Raises:
        InputError: a prompt is empty, there is no beam, or prompt and continuation exceed the context.
    """
    check_prompts(prompts, sources)
    if beams < 1:
        raise InputError(f"--beams must be at least 1, not {beams}")
    longest = max((len(prompt) for prompt in prompts), default=0)
    if longest + tokens - 1 > model.config.context:
        raise InputError(
            f"a prompt of {longest} and {tokens} new tokens exceed the context of {model.config.context}; ask for fewer"
        )
    if not prompts or not tokens:
        return [[] for _ in prompts]
    return _Search(model, prompts, sources, beams, tokens, length_penalty, stop).run()


class _Search:
    """The open beams of all texts that are not done, K rows a text, and the ended ones."""

    def __init__(
        self,
        model: Transformer,
        prompts: Sequence[Ids],
        sources: Sequence[Ids] | None,
        beams: int,
        tokens: int,
        penalty: float,
        stop: Stop,
    ) -> None:
        self.model, self.beams, self.tokens, self.penalty = model, beams, tokens, penalty
        self.stops = stop_set(stop)
        self.ended: list[list[Beam]] = [[] for _ in prompts]
        self.texts = list(range(len(prompts)))
        device = model.device
        logits, self.memory = read_prompts(model, prompts, sources)
        self.memory.select(torch.arange(len(prompts), device=device).repeat_interleave(beams))
        self.logits_RV = logits[:, -1].repeat_interleave(beams, dim=0)
        self.sums_NK = torch.full((len(prompts), beams), -torch.inf, device=device)
        self.sums_NK[:, 0] = 0
        self.ids_NKT = torch.empty(len(prompts), beams, 0, dtype=torch.long, device=device)

    def run(self) -> list[list[Beam]]:
        """Search to the end."""
        for length in range(1, self.tokens + 1):
            self._extend(length)
            if not self.texts or length == self.tokens:
                break
            logits, self.memory = self.model.step(self.ids_NKT[:, :, -1].reshape(-1, 1), self.memory, True)
            self.logits_RV = logits[:, -1]
        for place, text in enumerate(self.texts):  # those that never stopped
            for beam in range(self.beams):
                self._end(text, self.ids_NKT[place, beam], float(self.sums_NK[place, beam]), self.tokens)
        return [sorted(found, key=lambda beam: -beam.score)[: self.beams] for found in self.ended]

    def _end(self, text: int, ids: Tensor, total: float, length: int) -> None:
        if total > -torch.inf:
            self.ended[text].append(Beam(tuple(ids.tolist()), total / length**self.penalty))

    def _extend(self, length: int) -> None:
        """Give every open beam one more token, keep the best K that go on, and put aside what ended."""
        n, k = self.sums_NK.shape
        scores = self.sums_NK[:, :, None] + self.logits_RV.float().log_softmax(dim=-1).view(n, k, -1)
        vocabulary = scores.shape[-1]
        best, place = scores.view(n, -1).topk(min((1 + len(self.stops)) * k, k * vocabulary), dim=-1)
        parents, drawn = place // vocabulary, place % vocabulary
        open_parents, open_drawn, open_sums = [], [], []
        for row, text in enumerate(self.texts):
            goes_on = self._sort_out(row, text, best[row].tolist(), parents[row].tolist(), drawn[row].tolist(), length)
            open_parents.append([parent for parent, _, _ in goes_on])
            open_drawn.append([token for _, token, _ in goes_on])
            open_sums.append([total for _, _, total in goes_on])
        self._move(torch.tensor(open_parents), torch.tensor(open_drawn), torch.tensor(open_sums), length)

    def _sort_out(
        self, row: int, text: int, best: list[float], parents: list[int], drawn: list[int], length: int
    ) -> list[tuple[int, int, float]]:
        """Put aside the candidates that end, among the K best of a text; the K best others as parent, token, sum."""
        goes_on: list[tuple[int, int, float]] = []
        for rank, (total, parent, token) in enumerate(zip(best, parents, drawn, strict=True)):
            if token not in self.stops:
                goes_on.append((parent, token, total))
            elif rank < self.beams:
                self._end(text, self.ids_NKT[row, parent], total, length)
        goes_on = goes_on[: self.beams]
        return goes_on + [(0, 0, -torch.inf)] * (self.beams - len(goes_on))

    def _move(self, parents_NK: Tensor, drawn_NK: Tensor, sums_NK: Tensor, length: int) -> None:
        """Go on with the chosen beams, and without the texts that are done."""
        device = self.model.device
        stay = [row for row, text in enumerate(self.texts) if not self._done(text, float(sums_NK[row, 0]), length)]
        rows = torch.tensor(stay, dtype=torch.long)
        dropped = len(stay) < len(self.texts)
        self.texts = [self.texts[row] for row in stay]
        parents, drawn = parents_NK[rows].to(device), drawn_NK[rows].to(device)
        self.sums_NK = sums_NK[rows].to(device)
        ids = self.ids_NKT[rows.to(device)].gather(1, parents[:, :, None].expand(-1, -1, self.ids_NKT.shape[2]))
        self.ids_NKT = torch.cat([ids, drawn[:, :, None]], dim=2)
        if stay:
            taken = (rows.to(device)[:, None] * self.beams + parents).flatten()
            self.memory.select(taken, same_sources=not dropped)

    def _done(self, text: int, best_open: float, length: int) -> bool:
        found = sorted((beam.score for beam in self.ended[text]), reverse=True)[: self.beams]
        return len(found) == self.beams and best_open / length**self.penalty <= found[-1]
