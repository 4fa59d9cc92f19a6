"""What `chidu attend` found about one text: maps, relations, and what each head is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chidu.audit.ablation import Ablation, HeadLoss
from chidu.audit.attention import Board
from chidu.audit.relations import Relation

SHOWN = 10
"""Relations in the text."""
LEVEL = 0.05
"""p up to which a relation counts as beyond chance."""
WIDEST = 12
"""Words up to which the mean map is printed as a table."""


@dataclass(frozen=True, eq=False)
class AttentionStudy:
    """One text through one model."""

    model: str
    """Where the model came from."""
    text: str
    boards: tuple[Board, ...]
    """The main one first."""
    related: str
    """The part whose words are related."""
    relations: tuple[Relation, ...]
    """Strongest first."""
    orders: int
    """Other orders of the same words that were read."""
    ablation: Ablation | None
    """None where the text is too short, or an encoder has no mask."""
    ablated_on: str
    """What text the loss is of, in words; where there is no ablation, why not."""

    def head(self, part: str, layer: int, head: int) -> HeadLoss | None:
        """What a head is worth."""
        heads = self.ablation.heads if self.ablation else ()
        return next((one for one in heads if (one.part, one.layer, one.head) == (part, layer, head)), None)

    def to_json(self) -> dict[str, Any]:
        """Plain values: relations, heads, and the mean and rolled-out maps between words."""
        return {
            "model": self.model,
            "text": self.text,
            "boards": [_board_json(board) for board in self.boards],
            "relations": [relation.to_json() for relation in self.relations],
            "orders": self.orders,
            "ablation": self.ablation.to_json() if self.ablation else None,
            "ablated_on": self.ablated_on,
        }

    def __str__(self) -> str:
        """Print the mean map, the strongest relations, and a line for every head."""
        lines = []
        for board in self.boards:
            lines += [f"Attention {board.title}, mean of all layers and heads", *_table(board), ""]
        lines += [self.relations_lead(), *(f"  {relation}" for relation in self.relations[:SHOWN]), ""]
        lines += [self.ablation_lead()]
        for board in self.boards:
            lines += [f"  {line}" for line in self._heads(board)]
        return "\n".join(lines)

    def relations_lead(self) -> str:
        """What the relations are, in a sentence or two."""
        if not self.relations:
            return "Relations between words: there is only one word."
        lead = "Strongest relations between words, by how many times chance they are."
        if self.orders < 2:
            return f"{lead} There are too few words to read them in other orders."
        beyond = sum(relation.p <= LEVEL for relation in self.relations)
        return (
            f"{lead} p is the part of {self.orders} other orders of the same words in which some pair of places "
            "surprises as much: small means that it is these words, not their places. Of "
            f"{len(self.relations)} relations, {beyond or 'none'} {'is' if beyond == 1 else 'are'} beyond chance "
            f"(p at most {LEVEL})."
        )

    def ablation_lead(self) -> str:
        """What the heads' numbers are, in a sentence or two."""
        if self.ablation is None:
            return f"Every head, and where it looks most. No loss without each head: {self.ablated_on}."
        return (
            "Every head, what the loss changes without it, and where it looks most. With all heads the loss is "
            f"{self.ablation.loss:.3f} nats per token over {self.ablation.tokens:,} tokens of {self.ablated_on}; "
            "a positive change says that the head helped."
        )

    def _heads(self, board: Board) -> list[str]:
        """A line for every head of a board."""
        lines = []
        words = board.words()
        for layer in range(words.shape[0]):
            for head in range(words.shape[1]):
                i, j = strongest(board, words[layer, head])
                worth = self.head(board.part, layer, head)
                change = f"{worth.change:+.4f}, " if worth else ""
                part = "" if board.part == "own" else f"{board.part} "
                lines.append(
                    f"{part}layer {layer} head {head}: {change}{board.queries.words[i].text} → "
                    f"{board.keys.words[j].text} {words[layer, head, i, j]:.3f}"
                )
        return lines


def strongest(board: Board, weights_WW: np.ndarray) -> tuple[int, int]:
    """The pair of different words with the largest weight beside chance; special tokens only if there is no other."""
    lift = weights_WW / np.maximum(board.chance(), 1e-12)
    allowed = np.ones(lift.shape, dtype=bool)
    for i, asking in enumerate(board.queries.words):
        for j, key in enumerate(board.keys.words):
            allowed[i, j] = not (asking.special or key.special or (i == j and board.part != "cross"))
    if board.causal:
        allowed &= np.tril(allowed)
    if not allowed.any():
        return len(lift) - 1, 0
    i, j = divmod(int(np.where(allowed, lift, -1).argmax()), lift.shape[1])
    return i, j


def _table(board: Board) -> list[str]:
    """The mean map as lines: rows look, columns are looked at."""
    rows, columns = ([word.text for word in side.words] for side in (board.queries, board.keys))
    if max(len(rows), len(columns)) > WIDEST:
        return [f"  {len(rows)} × {len(columns)} words: see the page"]
    mean = board.mean()
    width = max(6, *(_width(name) + 1 for name in (*rows, *columns)))
    lines = ["  " + " " * width + "".join(_pad(name, width) for name in columns)]
    for i, name in enumerate(rows):
        lines.append("  " + _pad(name, width) + "".join(f"{value:>{width}.3f}" for value in mean[i]))
    return lines


def _width(text: str) -> int:
    """Columns of a terminal: Chinese characters take two."""
    return sum(2 if ord(letter) > 0x2E7F else 1 for letter in text)


def _pad(text: str, width: int) -> str:
    return " " * (width - _width(text)) + text


def _board_json(board: Board) -> dict[str, Any]:
    rolled = board.rolled()
    return {
        "part": board.part,
        "asking": [word.text for word in board.queries.words],
        "looked_at": [word.text for word in board.keys.words],
        "mean": _plain(board.mean()),
        "rolled_out": None if rolled is None else _plain(rolled),
        "chance": _plain(board.chance()),
        "heads": _plain(board.words()),
    }


def _plain(values: np.ndarray) -> Sequence[Any]:
    return np.round(values, 6).tolist()
