"""Which column a header means: chidu's name for it, its unit, and how surely."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chidu.runs import NUMBERS, TEXTS
from chidu.tables.units import Unit, canonical, split_flops, split_unit

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "params": (
        *("n_params", "num_params", "nparams", "parameters", "model_size", "n_parameters", "num_parameters"),
        *("number_of_parameters", "param_count", "params_count", "parameter_count", "model_params"),
        *("model_parameters", "trainable_params", "num_trainable_params", "trainable_parameters", "nb_params"),
        *("number_of_params", "num_of_params", "num_of_parameters", "of_params", "of_parameters", "n"),
    ),
    "tokens": (
        *("n_tokens", "num_tokens", "train_tokens", "training_tokens", "tokens_seen", "total_tokens"),
        *("number_of_tokens", "n_train_tokens", "num_train_tokens", "tokens_trained", "trained_tokens"),
        *("num_tokens_seen", "total_tokens_seen", "tokens_processed", "consumed_tokens", "consumed_train_tokens"),
        *("num_input_tokens_seen", "total_training_tokens", "total_train_tokens", "train_num_tokens", "token_count"),
        *("pretraining_tokens", "pretrain_tokens", "num_of_tokens", "of_tokens", "d"),
    ),
    "flops": (
        *("compute", "train_flops", "training_flops", "total_flops", "flop", "num_flops", "n_flops"),
        *("train_compute", "training_compute", "total_compute", "total_training_flops", "total_train_flops"),
        *("total_flos", "flos", "flops_total", "c"),
    ),
    "active_params": ("params_active", "n_active", "activated_params", "active_parameters"),
    "loss": ("l",),
    "loss_se": ("loss_stderr", "loss_std_err", "val_loss_se"),
    "bits_per_byte": ("bpb", "val_bpb", "bits_byte", "val_bits_per_byte", "eval_bpb"),
    "run": ("run_name", "name", "display_name", "mlflow_runname", "run_id", "id", "tag", "model_name"),
    "status": ("state", "run_state", "run_status"),
    "learning_rate": ("lr", "peak_lr", "max_lr", "base_lr", "peak_learning_rate", "max_learning_rate"),
    "batch_tokens": (
        *("batch_size_tokens", "tokens_per_batch", "tokens_per_step", "tokens_per_iter", "tokens_per_iteration"),
        *("global_batch_tokens", "batch_size_in_tokens", "global_batch_size_tokens"),
    ),
    "d_model": ("width", "hidden_size", "n_embd", "hidden_dim", "model_dim", "embed_dim"),
    "n_layer": ("depth", "layers", "num_layers", "n_layers", "num_hidden_layers"),
    "unique_tokens": ("unique_train_tokens", "num_unique_tokens", "unique_d", "u"),
    "group": ("dataset", "data_set", "corpus", "training_data", "train_data"),
    "family": ("model_family", "architecture", "arch"),
    "seed": ("random_seed",),
    "step": ("steps", "global_step", "iter", "iteration", "iterations", "num_steps", "n_steps", "train_steps"),
}
"""Other names of a column, in canonical form and by preference; losses are told by their words, see `loss_kind`."""

SETTINGS = frozenset(("config", "params", "hparams", "hyperparameters", "parameters", "args"))
RESULTS = frozenset(("summary", "metrics", "summary_metrics"))
"""Where trackers put what is set before a run, and what came out of it: `config/lr`, `metrics.val_loss`."""
MEASURED = frozenset(("loss", "loss_se", "tokens", "flops", "step", "status"))
"""Columns that are looked for among the results first."""
SECTIONS = frozenset(
    (
        *("model", "optimizer", "optim", "data", "train", "training", "trainer", "network", "architecture", "arch"),
        *("throughput", "perf", "global", "tags", "info", "model_config", "training_args"),
    )
)
"""Parts of a nested config; a loss is never told by the last word alone (`train/loss`)."""
UNSECTIONED = frozenset(("loss", "loss_se", "status", "group", "family"))
COUNTED = frozenset(("params", "active_params", "tokens", "flops", "unique_tokens", "batch_tokens", "step"))
"""Columns whose header may name a unit."""

NON_EMBEDDING = re.compile(r"(?:^|_)(?:(?:non?|without|wo|w_o|minus|excl\w*?)_?emb[a-z]*)(?=_|$)")
ACTIVE = re.compile(r"(?:^|_)activ[a-z]*(?=_|$)")
TOTAL = re.compile(r"(?:^|_)total(?=_|$)")
KINDS = ("total", "", "non-embedding")
"""Of params, by preference."""

LOSSES = frozenset(("loss", "nll", "ce", "xent", "crossentropy", "entropy"))
PERPLEXITIES = frozenset(("ppl", "perplexity"))
HELD_OUT = ("val", "valid", "validation", "eval", "evaluation", "heldout", "holdout", "held", "dev", "test")
TRAIN = frozenset(("train", "training"))
BITS = frozenset(("bit", "bits", "bpt"))
NO_LOSS = frozenset(
    (
        *("se", "stderr", "std", "err", "error", "var", "variance", "ci", "byte", "bytes", "unseen", "scale", "scaler"),
        *("fn", "function", "type", "weight", "weights", "coef", "coeff", "z", "aux", "auxiliary", "balance"),
        *("balancing", "router", "mask", "masked", "spike", "spikes", "diff", "delta", "gap", "ratio", "reduction"),
        *("name", "mult"),
    )
)
"""Words of columns about a loss that are none."""
FILLERS = frozenset(
    (
        *("final", "last", "mean", "avg", "lm", "per", "token", "tokens", "nats", "nat", "cross", "out", "smooth"),
        *("smoothed", "ema", "in", "epoch"),
    )
)


@dataclass(frozen=True)
class Match:
    """A header, and what it means."""

    ours: str
    theirs: str
    rank: tuple[int, ...] = ()
    """The lowest is the surest."""
    unit: Unit | None = None
    measure: str = ""
    """Of a loss: `` (nats), `bits`, `perplexity`."""
    kind: str = ""
    """Of params: `total`, `non-embedding`; of a loss: `held-out`, `training`, `other`."""
    constant: float | None = None
    """A number given for every row in place of a column."""


LOOKUP = {name: (ours, i) for ours, names in SPELLINGS.items() for i, name in enumerate(names, start=1)}
LOOKUP |= {name: (name, 0) for name in (*NUMBERS, *TEXTS) if name != "loss"}
SYMBOLS = {"n": "params", "d": "tokens", "c": "flops", "l": "loss"}
"""Letters of the formulas, which headers add: `tokens (D)`."""


def recognise(theirs: str) -> Match | None:
    """What a header means, or None: names as they stand come first, then without their unit, then without prefixes.

    W&B's own keys (`_step`, which counts calls of its `log`, `_runtime`) mean nothing here.
    """
    if re.search(r"(?:^|[./])_[a-z]+$", theirs):
        return None
    found = [match for name, where in _forms(theirs) if (match := _recognise_name(theirs, name, where))]
    return min(found, key=lambda match: match.rank) if found else None


def _forms(theirs: str) -> Iterator[tuple[str, str]]:
    """A header's canonical names: whole, and without the parts before it that trackers and configs put there."""
    for name in dict.fromkeys((theirs, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", theirs))):
        yield canonical(name), ""
        where, rest = "", name
        while True:
            first, mark, rest = _split_first(rest)
            if not mark:
                break
            if first in SETTINGS | RESULTS and not where:
                where = "settings" if first in SETTINGS else "results"
            elif first in SECTIONS:
                where = f"{where} section"
            else:
                break
            yield canonical(rest), where


def _split_first(name: str) -> tuple[str, str, str]:
    found = re.search(r"[./:]", name)
    return (canonical(name[: found.start()]), found[0], name[found.end() :]) if found else (canonical(name), "", "")


def _recognise_name(theirs: str, name: str, where: str) -> Match | None:
    """Look one canonical name up."""
    for base, unit in ((name, None), *((unit.base, unit) for unit in (split_unit(name),) if unit)):
        if match := _recognise_base(theirs, base, unit):
            return None if "section" in where and match.ours in UNSECTIONED else _place(match, where)
    unit = split_flops(name)
    if unit and (
        unit.base in ("", "flops")
        or LOOKUP.get(unit.base, ("",))[0] == "flops"
        or (LOOKUP.get(f"{unit.base}_flops", ("",))[0] == "flops" and (unit.power >= 18 or unit.factor > 1))
    ):
        return _place(Match("flops", theirs, (1, 0), unit), where)
    return None


def _place(match: Match, where: str) -> Match:
    """Rank by where a name was found."""
    last = where.split()[0] if where else ""
    preferred = "results" if match.ours in MEASURED else "settings"
    place = 0 if not where else 3 if "section" in where else 1 if last == preferred else 2
    rank = (*match.rank, place) if match.ours in TEXTS else (match.rank[0], place, *match.rank[1:])
    return Match(match.ours, match.theirs, rank, match.unit, match.measure, match.kind)


def _recognise_base(theirs: str, name: str, unit: Unit | None) -> Match | None:
    if name in LOOKUP:
        ours, order = LOOKUP[name]
        if unit and ours not in COUNTED:
            return None
        plain = ours in ("params", "loss")  # a name that says of which kind it is comes before
        return Match(ours, theirs, (int(plain), order), unit)
    for mark, symbol, short in ((name[-2:-1], name[-1:], name[:-2]), (name[1:2], name[:1], name[2:])):
        match = _recognise_base(theirs, short, unit) if mark == "_" and symbol in SYMBOLS else None
        if match and match.ours == SYMBOLS[symbol]:
            return match
    if kind := _params_kind(name):
        if kind == "active":
            return Match("active_params", theirs, (1, 0), unit)
        return Match("params", theirs, (KINDS.index(kind), 0), unit, kind=kind)
    if unit is None and (kind_of := loss_kind(name)):
        measure, kind, rank = kind_of
        return Match("loss", theirs, rank, None, measure, kind)
    return None


def _params_kind(name: str) -> str:
    """Whether a name is that of parameters of a certain kind."""
    for pattern, kind in ((NON_EMBEDDING, "non-embedding"), (ACTIVE, "active"), (TOTAL, "total")):
        left, count = pattern.subn("", name)
        left = left.strip("_")
        if count and (left in ("params", "param") or LOOKUP.get(left, ("",))[0] == "params"):
            return kind
    return "non-embedding" if NON_EMBEDDING.fullmatch(name) else ""


def loss_kind(name: str) -> tuple[str, str, tuple[int, ...]] | None:
    """Tell a loss by its words: its measure, its kind, its rank; None for what is no loss.

    Held-out losses come before those that do not say of what, and training losses last. `other` are those with more
    words (`loss_c4_val`, `best_val_loss`): they are taken only where one alone is there.
    """
    words = name.split("_")
    known = set(words)
    perplexity, bits = bool(known & PERPLEXITIES), bool(known & BITS)
    per_token = bool(known & {"token", "tokens", "bpt"}) and bool(known & (BITS | {"nats", "nat"}))
    entropy = "entropy" in known and "cross" not in known
    if not (known & LOSSES or perplexity or per_token) or known & NO_LOSS or entropy:
        return None
    measure = "perplexity" if perplexity else "bits" if bits else ""
    held = min((HELD_OUT.index(word) for word in words if word in HELD_OUT), default=-1)
    allowed = LOSSES | PERPLEXITIES | set(HELD_OUT) | TRAIN | BITS | FILLERS
    kind = "held-out" if held >= 0 else "training" if known & TRAIN else ""
    if not known <= allowed:
        return measure, "other", (9, held if held >= 0 else len(HELD_OUT))
    order = {"held-out": 0, "": 1, "training": 6}[kind]
    return measure, kind, (order + {"": 0, "bits": 2, "perplexity": 3}[measure], max(held, 0), len(words))
