"""Text in, text out: continuations with a tokenizer around them, whole or as they come, ended by stop strings."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from chidu.errors import InputError
from chidu.model.beam import beam_search
from chidu.model.generation import Ids, Stop, generate, generate_batch
from chidu.model.sampling import Sampling
from chidu.model.transformer import Transformer

UNFINISHED = "\ufffd"
"""What the bytes of a character that is not whole yet decode to."""


class TextTokenizer(Protocol):
    """What turns text into ids and back: chidu's own tokenizer, or that of a Hugging Face folder."""

    @property
    def eot(self) -> int:
        """Id of the token that ends a text."""

    @property
    def vocab_size(self) -> int:
        """Number of ids that have a text."""

    def encode(self, text: str) -> Any:
        """Token ids of a text, as a sequence or an array."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids."""

    def decode_after(self, before: Sequence[int], ids: Iterable[int]) -> str:
        """The text that ids add to those before them."""


def stream_text(
    model: Transformer,
    tokenizer: TextTokenizer,
    prompt: str,
    *,
    tokens: int,
    stops: Sequence[str] = (),
    sampling: Sampling = Sampling(),
    source: Ids | None = None,
    stop: Stop = None,
    start: int | None = None,
) -> Iterator[str]:
    """Yield the continuation of a text in pieces of whole characters, ending before the first stop string.

    What might be the beginning of a stop string is held back until it is known.

    Args:
        model: a decoder or an encoder-decoder.
        tokenizer: the model's.
        prompt: the text to continue; of an encoder-decoder, the beginning of the target.
        tokens: most new tokens.
        stops: strings that end the text, which is cut before them.
        sampling: how tokens are drawn.
        source: of an encoder-decoder, the ids of the text to read.
        stop: ids that end the text; the tokenizer's end-of-text by default.
        start: of an encoder-decoder, the id that an empty prompt stands for; the tokenizer's end-of-text by default.

    Raises:
        InputError: the prompt is empty and the model a decoder.
    """
    ids: list[int] = []
    shown = 0
    first = tokenizer.eot if start is None else start
    ends = tokenizer.eot if stop is None else stop
    begin = encode(tokenizer, prompt) or ([] if source is None else [first])
    for token in generate(model, begin, tokens=tokens, stop=ends, sampling=sampling, source=source):
        ids.append(token)
        text = added_text(tokenizer, begin, ids)
        end = find_stop(text, stops)
        if end is not None:
            yield from _piece(text[shown:end])
            return
        whole = text.removesuffix(UNFINISHED)
        sure = len(whole) - held_back(whole, stops)
        if sure > shown:
            yield text[shown:sure]
            shown = sure
    yield from _piece(added_text(tokenizer, begin, ids)[shown:])


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
    stop: Stop = None,
    start: int | None = None,
) -> list[str]:
    """Continue texts side by side: what is added to each, up to the first stop string.

    Args:
        model: a decoder or an encoder-decoder.
        tokenizer: the model's.
        prompts: the texts to continue; of an encoder-decoder, the beginnings of the targets.
        tokens: most new tokens of a text.
        stops: strings that end a text, which is cut before them.
        sampling: how tokens are drawn.
        beams: how many beams search the likeliest text; 1 draws instead.
        length_penalty: of the beams.
        sources: of an encoder-decoder, the ids of a text to read for each prompt.
        stop: ids that end a text; the tokenizer's end-of-text by default.
        start: the id that an empty prompt stands for; the tokenizer's end-of-text by default.

    Raises:
        InputError: beams and sampling are both asked for, or prompt and continuation exceed the context.
    """
    begin = tokenizer.eot if start is None else start
    end = tokenizer.eot if stop is None else stop
    ids = [encode(tokenizer, prompt) or [begin] for prompt in prompts]
    if beams > 1:
        if not sampling.greedy:
            raise InputError("--beams search the likeliest text; leave out --temperature and --repetition-penalty")
        found = beam_search(
            model,
            ids,
            tokens=tokens,
            stop=end,
            beams=beams,
            length_penalty=length_penalty,
            sources=sources,
        )
        rows = [list(best[0].ids) if best else [] for best in found]
    else:

        def ended(new: list[int]) -> bool:
            return find_stop(added_text(tokenizer, [], new), stops) is not None

        rows = generate_batch(
            model,
            ids,
            tokens=tokens,
            stop=end,
            sampling=sampling,
            sources=sources,
            ended=ended if stops else None,
        )
    texts = [added_text(tokenizer, before, row) for before, row in zip(ids, rows, strict=True)]
    return [text[: find_stop(text, stops)] for text in texts]


def encode(tokenizer: TextTokenizer, text: str) -> list[int]:
    """Token ids of a text as a list."""
    return [int(token) for token in tokenizer.encode(text)]


def added_text(tokenizer: TextTokenizer, before: Sequence[int], ids: Sequence[int]) -> str:
    """The text of new ids; those beyond the vocabulary, which are the model's own special tokens, have none."""
    known = [[token for token in part if token < tokenizer.vocab_size] for part in (before, ids)]
    return tokenizer.decode_after(known[0], known[1])


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
