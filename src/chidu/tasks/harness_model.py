"""Our model behind the interface that lm-evaluation-harness asks: `lm_eval.api.model.TemplateLM`.

It does what the harness's own backend for `transformers` does: the same tokens, the same cuts of what is too long, the
same beginnings of texts. Imported only where the harness is installed.
"""

from collections.abc import Callable, Sequence
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from chidu.data.hub_tokenizer import HubTokenizer
from chidu.errors import InputError
from chidu.model.generation import generate_batch
from chidu.model.sampling import Sampling
from chidu.model.text import added_text, encode, find_stop
from chidu.tasks.likelihood import rate_continuations
from chidu.tasks.tuned import Tuned

LONGEST = 256
"""Tokens that an answer may have where the task does not say, as in the harness."""
SIDE_BY_SIDE = 32
SAMPLING = {"temperature", "top_p", "top_k", "min_p", "repetition_penalty"}
"""What a task may ask of the way in which tokens are drawn."""
Tell = Callable[[str, float], None]


class HarnessModel(TemplateLM):
    """A decoder or an encoder-decoder as the harness sees it."""

    def __init__(self, tuned: Tuned, tell: Tell = lambda doing, part: None) -> None:
        """Wrap a model that writes.

        Raises:
            InputError: the model gives no text a probability.
        """
        super().__init__()
        if tuned.way != "write" or tuned.body.config.kind == "encoder":
            raise InputError(
                "the harness asks for probabilities of texts, which only decoders and encoder-decoders give"
            )
        self.tuned, self.model, self.tell = tuned, tuned.body, tell
        self.backend = "causal" if self.model.config.kind == "decoder" else "seq2seq"
        self.max_length = self.model.config.context
        self.max_gen_toks = LONGEST

    @property
    def eot_token_id(self) -> int:
        """What ends a text."""
        return self.tuned.tokenizer.eot

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text without a context: the tokenizer's beginning of a text, or its end."""
        tokenizer = self.tuned.tokenizer
        start = tokenizer.bos if isinstance(tokenizer, HubTokenizer) else None
        return self.eot_token_id if start is None else start

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Token ids; with what the tokenizer is used to around a text, unless told otherwise or it stands there."""
        tokenizer = self.tuned.tokenizer
        if not isinstance(tokenizer, HubTokenizer):
            return encode(tokenizer, string)
        begun = add_special_tokens is None and string.startswith(tokenizer.name_of(self.prefix_token_id) or "\0")
        return tokenizer.encode(string, special=not begun and add_special_tokens is not False)

    def _loglikelihood_tokens(self, requests: Sequence[tuple[Any, list[int], list[int]]], **kwargs: Any) -> Any:
        """Log-probability of each continuation, and whether greedy decoding would write it."""
        pairs = [(context, continuation) for _, context, continuation in requests]
        found = rate_continuations(self.model, pairs, start=self._start(), tell=self.tell)
        return [(-one.nats, one.greedy) for one in found]

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of whole texts, in windows as long as the context, each token predicted once."""
        owners: list[int] = []
        pairs = []
        for number, request in enumerate(requests):
            windows = get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            for window in map(make_disjoint_window, windows):
                owners.append(number)
                pairs.append(window)
        totals = [0.0] * len(requests)
        found = rate_continuations(self.model, pairs, start=self._start(), tell=self.tell)
        for number, one in zip(owners, found, strict=True):
            totals[number] -= one.nats
        return totals

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Texts after the contexts, each ended before the first of its stop strings."""
        wanted = [(request.args[0], dict(request.args[1])) for request in requests]
        kinds = list({repr(sorted(ask.items(), key=str)): ask for _, ask in wanted}.values())
        out: dict[int, str] = {}
        for kind in kinds:
            members = [i for i, (_, ask) in enumerate(wanted) if ask == kind]
            members.sort(key=lambda i: len(wanted[i][0]))
            for start in range(0, len(members), SIDE_BY_SIDE):
                batch = members[start : start + SIDE_BY_SIDE]
                out |= dict(zip(batch, self._write([wanted[i][0] for i in batch], kind), strict=True))
                self.tell("writing", len(out) / len(wanted))
        return [out[i] for i in range(len(wanted))]

    def _write(self, contexts: Sequence[str], asked: dict[str, Any]) -> list[str]:
        options: dict[str, Any] = dict(normalize_gen_kwargs(dict(asked), self.max_gen_toks))
        stops, most = [stop for stop in options.pop("until") if stop], options.pop("max_gen_toks")
        sampling = _sampling(options)
        ids = [self.tok_encode(context) or [self.prefix_token_id] for context in contexts]
        room = self.max_length - most if self.backend == "causal" else self.max_length
        ids = [row[-(room if room > 0 else max(1, self.max_length // 2)) :] for row in ids]
        sources, start = None, self._start()
        if start is not None:
            sources, ids = ids, [[start] for _ in ids]
        tokenizer = self.tuned.tokenizer

        def ended(new: list[int]) -> bool:
            return find_stop(added_text(tokenizer, [], new), stops) is not None

        rows = generate_batch(
            self.model,
            ids,
            tokens=most,
            stop=self.eot_token_id,
            sampling=sampling,
            sources=sources,
            ended=ended if stops else None,
        )
        texts = [added_text(tokenizer, [], row) for row in rows]
        return [text[: find_stop(text, stops)] for text in texts]

    def _start(self) -> int | None:
        return None if self.backend == "causal" else self.tuned.start

    def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:
        """Refuse: base models have no turns to speak in."""
        raise InputError("these models have no chat template; leave it out of the task")


def _sampling(options: dict[str, Any]) -> Sampling:
    """How tokens are drawn; greedy unless a task asks for more.

    Raises:
        InputError: it asks for what chidu does not do.
    """
    drawn = options.pop("do_sample", False)
    unknown = sorted(set(options) - SAMPLING)
    if unknown:
        raise InputError(f"the task asks to generate with {', '.join(unknown)}, which chidu's models do not know")
    known = {name: value for name, value in options.items() if value is not None}
    return Sampling(**known) if drawn else Sampling(repetition_penalty=known.get("repetition_penalty", 1.0))
