"""Text in, text out: continuations with a tokenizer around them, whole or as they come, ended by stop strings."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from chidu.errors import InputError
from chidu.model.beam import beam_search
from chidu.model.generation import Ids, generate, generate_batch
from chidu.model.sampling import Sampling
from chidu.model.transformer import Transformer

UNFINISHED = "\ufffd"
"""What the bytes of a character that is not whole yet decode to."""


class TextTokenizer(Protocol):
    """What turns text into ids and back: chidu's own tokenizer, or that of a Hugging Face folder."""

    @property
    def eot(self) -> int:
        """Id of the token that ends a text."""

    def encode(self, text: str) -> Any:
        """Token ids of a text, as a sequence or an array."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids."""


def stream_text(
    model: Transformer,
    tokenizer: TextTokenizer,
    prompt: str,
    *,
    tokens: int,
    stops: Sequence[str] = (),
    sampling: Sampling = Sampling(),
    source: Ids | None = None,
) -> Iterator[str]:
    """Yield the continuation of a text in pieces of whole characters, ending before the first stop string.

    What might be the beginning of a stop string is held back until it is known.

    Raises:
        InputError: the prompt is empty.
    """
    ids: list[int] = []
    shown = 0
    for token in generate(
        model, encode(tokenizer, prompt), tokens=tokens, stop=tokenizer.eot, sampling=sampling, source=source
    ):
        ids.append(token)
        text = tokenizer.decode(ids)
        end = find_stop(text, stops)
        if end is not None:
            yield from _piece(text[shown:end])
            return
        whole = text.removesuffix(UNFINISHED)
        sure = len(whole) - held_back(whole, stops)
        if sure > shown:
            yield text[shown:sure]
            shown = sure
    yield from _piece(tokenizer.decode(ids)[shown:])


def _piece(text: str) -> Iterator[str]:
    if text:
        yield text


def complete(
    model: Transformer,
    tokenizer: TextTokenizer,
    prompts: Sequence[str],
    *,
    tokens: int,
    stops: Sequence[str] = (),
    sampling: Sampling = Sampling(),
    beams: int = 1,
    length_penalty: float = 1.0,
    sources: Sequence[Ids] | None = None,
) -> list[str]:
    """Continue texts side by side: what is added to each, up to the first stop string.

    An empty prompt means the beginning of a text, which is what follows an end-of-text.

    Raises:
        InputError: beams and sampling are both asked for, or prompt and continuation exceed the context.
    """
    ids = [encode(tokenizer, prompt) or [tokenizer.eot] for prompt in prompts]
    if beams > 1:
        if not sampling.greedy:
            raise InputError("--beams search the likeliest text; leave out --temperature and --repetition-penalty")
        found = beam_search(
            model,
            ids,
            tokens=tokens,
            stop=tokenizer.eot,
            beams=beams,
            length_penalty=length_penalty,
            sources=sources,
        )
        texts = [tokenizer.decode(beams_[0].ids) if beams_ else "" for beams_ in found]
    else:

        def ended(new: list[int]) -> bool:
            return find_stop(tokenizer.decode(new), stops) is not None

        rows = generate_batch(
            model,
            ids,
            tokens=tokens,
            stop=tokenizer.eot,
            sampling=sampling,
            sources=sources,
            ended=ended if stops else None,
        )
        texts = [tokenizer.decode(row) for row in rows]
    return [text[: find_stop(text, stops)] for text in texts]


def encode(tokenizer: TextTokenizer, text: str) -> list[int]:
    """Token ids of a text as a list."""
    return [int(token) for token in tokenizer.encode(text)]


def find_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the first stop string of a text begins; None where there is none."""
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return min(places, default=None)


def held_back(text: str, stops: Sequence[str]) -> int:
    """Characters at a text's end that may be the beginning of a stop string."""
    longest = max((len(stop) for stop in stops), default=0)
    for length in range(min(longest - 1, len(text)), 0, -1):
        if any(stop.startswith(text[-length:]) for stop in stops):
            return length
    return 0
