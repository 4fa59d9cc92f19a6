"""An attention study as one HTML page that carries its own weights, script and style, and fetches nothing."""

import base64
import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from chidu.audit.attention import Board, Read
from chidu.audit.relations import Relation
from chidu.audit.study import AttentionStudy
from chidu.audit.words import roll_out
from chidu.store import write_text

MOST_RELATIONS = 60
"""Relations in the page's table."""


def to_html(study: AttentionStudy) -> str:
    """The page. The weights are in it as the model computed them, 32-bit floats in base64."""
    page = Template((files("chidu.audit") / "attend.html").read_text(encoding="utf-8"))
    data = json.dumps([_board(study, board) for board in study.boards], ensure_ascii=False)
    return page.substitute(
        title=escape(study.text if len(study.text) <= 60 else study.text[:59] + "…"),
        model=escape(study.model),
        relations_lead=escape(study.relations_lead()),
        relations=_relations(study.relations),
        ablation_lead=escape(study.ablation_lead()),
        heads=_heads(study),
        data=data.replace("<", "\\u003c"),
    )


def write_page(study: AttentionStudy, path: Path) -> None:
    """Write the page, atomically."""
    write_text(path, to_html(study))


def _board(study: AttentionStudy, board: Board) -> dict[str, Any]:
    """A board for the page's script."""
    layers, heads, rows, columns = board.weights.shape
    rolled = None
    if board.part != "cross":
        rolled = _encode(roll_out(list(board.weights.astype(np.float64))))
    worth = [[study.head(board.part, layer, head) for head in range(heads)] for layer in range(layers)]
    return {
        "part": board.part,
        "title": board.title,
        "shape": [layers, heads, rows, columns],
        "weights": _encode(board.weights),
        "rolled": rolled,
        "asking": _read(board.queries),
        "looked_at": _read(board.keys),
        "changes": [[None if one is None else round(one.change, 6) for one in row] for row in worth],
    }


def _read(read: Read) -> dict[str, Any]:
    words = [{"text": word.text, "tokens": list(word.tokens), "special": word.special} for word in read.words]
    return {"names": list(read.names), "words": words}


def _encode(values: np.ndarray) -> str:
    """Little-endian 32-bit floats, row by row, in base64."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def _relations(relations: Sequence[Relation]) -> str:
    rows = [
        (
            f"{relation.asking} → {relation.looked_at}",
            f"{relation.weight:.3f}",
            f"{relation.chance:.3f}",
            f"{relation.lift:.2f}",
            "–" if relation.expected != relation.expected else f"{relation.expected:.3f}",
            "–" if relation.p != relation.p else f"{relation.p:.3f}",
        )
        for relation in relations[:MOST_RELATIONS]
    ]
    return _table(("words", "weight", "chance", "times chance", "in other orders", "p"), rows)


def _heads(study: AttentionStudy) -> str:
    if study.ablation is None:
        return ""
    ordered = sorted(study.ablation.heads, key=lambda head: -head.change)
    names = {board.part: board.title for board in study.boards}
    rows = [
        (
            names.get(head.part, head.part),
            str(head.layer),
            str(head.head),
            f"{head.change:+.4f}",
            "–" if head.change_se is None else f"{head.change_se:.4f}",
        )
        for head in ordered
    ]
    return _table(("attention", "layer", "head", "change of the loss", "standard error"), rows)


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
