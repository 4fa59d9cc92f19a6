"""What a question asks for: its kind, where its interrogative stands, and the words beside that, its focus."""

import re
from dataclasses import dataclass

KINDS_CHINESE = (
    (
        "when",
        r"什么时候|什么时间|何时|哪一?年|哪一?天|哪一?日|几月|几年|几时|哪个(年代|世纪|时期|朝代)|什么(年代|时期)",
    ),
    ("why", r"为什么|为何|因何|何故|什么原因|原因是什么"),
    ("who", r"谁|何人|哪一?位|哪些?人|什么人"),
    ("where", r"哪里|哪儿|何处|何地|在哪[里儿]?|什么地方|哪一?[个座]?(国|省|市|城|县|区|地|州)|位于哪"),
    ("how many", r"多少|几[个名位次人种岁座层部条集届章代]|第几|多[大长高远久深宽重快]|几"),
    ("how", r"如何|怎么样?|怎样"),
    ("which", r"哪些|哪几?|何种"),
    ("what", r"什么|甚么|何|啥"),
)
"""Tried in this order."""
KINDS_ENGLISH = (
    ("how many", r"how (many|much|long|old|far|often|tall|high|big|large|deep)"),
    ("what happens", r"what (happen(s|ed)?|will happen|would happen)"),
    ("feeling", r"how (did|does|do|will|would) .* (feel|felt)\b"),
    ("deed", r"what (did|does|do|will|would|had|must|could|can|should) .* do\b"),
    ("what of whom", r"what (did|does|do|will|would|had|must|could|can|should)"),
    ("what is", r"what (is|was|are|were|'s)"),
    ("why", r"why"),
    ("who", r"who[a-z']*"),
    ("when", r"when|(what|which) (year|day|date|month|century|time|decade)"),
    ("where", r"where|(what|which) (country|city|place|town|state)"),
    ("how", r"how"),
    ("which", r"which"),
    ("what", r"what"),
)
OTHER = "other"
KINDS = (*dict.fromkeys(name for name, _ in (*KINDS_CHINESE, *KINDS_ENGLISH)), OTHER)
FOUND = {
    True: [(name, re.compile(pattern)) for name, pattern in KINDS_CHINESE],
    False: [(name, re.compile(rf"\b({pattern})\b")) for name, pattern in KINDS_ENGLISH],
}
CLASSIFIERS = re.compile(r"^(一?[个种位些名项座条部所样类]|的|是)")


@dataclass(frozen=True)
class Asked:
    """What a question asks for."""

    kind: int
    """Number in `KINDS`."""
    begin: int
    """Character at which the interrogative begins; the question's length where there is none."""
    end: int
    focus: tuple[str, str]
    """What stands after the interrogative (什么*时期*, what *year*) and at the other end of the question."""


def ask(question: str, chinese: bool) -> Asked:
    """Read a question."""
    text = question.lower()
    for name, pattern in FOUND[chinese]:
        if found := pattern.search(text):
            return Asked(KINDS.index(name), found.start(), found.end(), _focus(text, *found.span(), chinese))
    return Asked(KINDS.index(OTHER), len(text), len(text), _focus(text, len(text), len(text), chinese))


def _focus(text: str, begin: int, end: int, chinese: bool) -> tuple[str, str]:
    if chinese:
        after = CLASSIFIERS.sub("", text[end:].strip("？?。 "))
        return after[:2], text[:begin].rstrip("是为在叫做于由被有")[-2:]
    words = re.findall(r"\w+", text[end:])
    return " ".join(words[:1]), " ".join(words[-1:])
