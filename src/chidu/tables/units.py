"""Units that a header names: `tokens (B)`, `params_in_millions`, `flops (1e18)`, `PFLOP-days`."""

import re
from dataclasses import dataclass

POWERS = {
    **dict.fromkeys(("k", "thousand", "thousands"), 3),
    **dict.fromkeys(("m", "mn", "mio", "million", "millions"), 6),
    **dict.fromkeys(("b", "bn", "g", "billion", "billions"), 9),
    **dict.fromkeys(("t", "tn", "trillion", "trillions"), 12),
}
METRIC = {
    **dict.fromkeys(("g", "giga"), 9),
    **dict.fromkeys(("t", "tera"), 12),
    **dict.fromkeys(("p", "peta"), 15),
    **dict.fromkeys(("e", "exa"), 18),
    **dict.fromkeys(("z", "zetta"), 21),
    **dict.fromkeys(("y", "yotta"), 24),
}
DAY = 86400.0

WORDS = "|".join(sorted(POWERS, key=len, reverse=True))
LAST = re.compile(rf"(?P<base>\w+?)(?:_in)?_(?:(?P<word>{WORDS})|x?_?(?:1?e|10_)(?P<power>\d\d?))")
FIRST = re.compile(rf"(?P<word>{'|'.join(word for word in POWERS if len(word) > 3)})(?:_of)?_(?P<base>\w+)")
PREFIXES = "|".join(sorted(METRIC, key=len, reverse=True))
FLOPS = re.compile(
    rf"(?:(?P<base>\w+?)_(?:in_)?)??(?P<metric>{PREFIXES})_?(?:flops?|flop_?s|f)(?P<day>_?(?:s_)?days?)?"
)


@dataclass(frozen=True)
class Unit:
    """What a column's numbers count in: factor * 10^power."""

    base: str
    """The name without its unit."""
    power: int
    factor: float = 1.0
    letter: bool = False
    """It is one letter, which may belong to the name."""


def canonical(name: str) -> str:
    """A header in lower case, words divided by one underscore: `val/loss`, `Val Loss` -> `val_loss`."""
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


def split_unit(name: str) -> Unit | None:
    """Find the unit of a canonical name: `tokens_b` -> tokens, 9."""
    if found := LAST.fullmatch(name):
        word = found["word"]
        return Unit(found["base"], POWERS[word] if word else int(found["power"]), letter=len(word or "  ") == 1)
    if found := FIRST.fullmatch(name):
        return Unit(found["base"], POWERS[found["word"]])
    return None


def split_flops(name: str) -> Unit | None:
    """Find the unit of a compute column: `compute_pf_days`, `flops_eflops`, `exaflops`.

    A petaflop/s-day is 8.64e19 FLOPs (2001.08361). `pflops` and smaller ones alone are a speed in most logs, no amount.
    """
    found = FLOPS.fullmatch(name)
    if not found or (found["metric"] + "f" == name.rpartition("_")[2] and not found["day"]):
        return None
    base, power = found["base"] or "", METRIC[found["metric"]]
    if found["day"]:
        return Unit(base, power, DAY)
    return Unit(base, power) if base or power >= METRIC["e"] else None


def describe(unit: Unit) -> str:
    """In words."""
    return f"{unit.factor * 10.0**unit.power:.3g}"
