"""Parts of a page that asks nobody for anything: sections, figures, tables, lists, and the whole put together.

Every text from outside (titles, run names, reasons, file names) is escaped here.
"""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, NamedTuple

from chidu import plot

if TYPE_CHECKING:
    import plotly.graph_objects as go


class Section(NamedTuple):
    """One part of a page."""

    key: str
    heading: str
    lead: str
    """What to see, in one sentence of text."""
    body: str
    """HTML."""


def assemble(title: str, sections: Sequence[Section]) -> str:
    """One page that carries its own script and style."""
    page = Template((files("chidu") / "report.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(title),
        contents="\n".join(f'<li><a href="#{part.key}">{escape(part.heading)}</a></li>' for part in sections),
        sections="\n".join(
            f'<section id="{part.key}" aria-labelledby="{part.key}-head"><h2 id="{part.key}-head">'
            f'{escape(part.heading)}</h2>\n<p class="lead">{escape(part.lead)}</p>\n{part.body}\n</section>'
            for part in sections
        ),
        script=plot.script(),
    )


def figure(drawn: "go.Figure", name: str, caption: str = "") -> str:
    """A figure with its caption."""
    label = f"{drawn.layout.yaxis.title.text} against {drawn.layout.xaxis.title.text}"
    said = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure role="group" aria-label="{escape(label)}">{plot.to_div(drawn, f"figure-{name}")}{said}</figure>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of names and what is to be said of them."""
    return f"<dl>{''.join(f'<dt>{escape(a)}</dt><dd>{escape(b)}</dd>' for a, b in pairs)}</dl>"


def table(label: str, head: Sequence[str], rows: Iterable[Sequence[Any]], *, sortable: bool = False) -> str:
    """A table in its own scrolling box; numbers to the right; a (value, text) cell sorts by its value."""
    made = [[cell if isinstance(cell, tuple) else (cell, str(cell)) for cell in row] for row in rows]
    numeric = [bool(made) and all(not isinstance(row[j][0], str) for row in made) for j in range(len(head))]
    long = [any(len(row[j][1]) > 40 for row in made) for j in range(len(head))]
    style = ["number" if n else "text" if wide else "word" for n, wide in zip(numeric, long, strict=True)]
    names = [f"<button>{escape(name)}</button>" if sortable else escape(name) for name in head]
    top = "".join(f'<th scope="col" class="{c}">{name}</th>' for c, name in zip(style, names, strict=True))
    body = []
    for row in made:
        keys = ["" if value != value else escape(str(value)) for value, _ in row]
        cells = zip(style, keys, row, strict=True)
        body.append("".join(f'<td class="{c}" data-value="{key}">{escape(t)}</td>' for c, key, (_, t) in cells))
    kind = ' class="sortable"' if sortable else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table{kind}><thead><tr>{top}'
        f"</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in body)}</tbody></table></div>"
    )
