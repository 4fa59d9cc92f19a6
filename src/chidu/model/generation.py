"""Continue texts: one token at a time, with the keys and values of the past kept (the KV cache).

Texts of unequal length are padded on the left, each with its own positions, so that every row comes out as if it were
alone. When a row fills the context, the model starts again on that row's later half.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import torch
from torch import Tensor

from chidu.errors import InputError
from chidu.model.memory import Memory
from chidu.model.sampling import Sampling, choose
from chidu.model.transformer import Transformer

Ids = Sequence[int]
Stop = int | Collection[int] | None
"""The token, or the tokens, that end a text."""


def generate(
    model: Transformer,
    prompt: Ids,
    *,
    tokens: int,
    stop: Stop = None,
    sampling: Sampling = Sampling(),
    source: Ids | None = None,
) -> Iterator[int]:
    """Yield up to `tokens` new token ids after the prompt, ending before `stop` (end of text) if it is drawn.

    Of an encoder-decoder, the prompt is the target's beginning and `source` the text to read.

    Raises:
        InputError: the prompt is empty.
    """
    sources = None if source is None else [source]
    for drawn in _advance(model, [prompt], tokens, stop, sampling, sources, cached=True):
        yield from drawn.values()


def generate_batch(
    model: Transformer,
    prompts: Sequence[Ids],
    *,
    tokens: int,
    stop: Stop = None,
    sampling: Sampling = Sampling(),
    sources: Sequence[Ids] | None = None,
    ended: Callable[[list[int]], bool] | None = None,
    cached: bool = True,
) -> list[list[int]]:
    """Continue texts of any lengths side by side: the new tokens of each.

    Row i is what `generate` gives it alone with a seed of `sampling.seed + i`.

    Args:
        model: a decoder or an encoder-decoder.
        prompts: token ids of each text; of an encoder-decoder the beginnings of the targets.
        tokens: most new tokens of a text.
        stop: a text ends before this token.
        sampling: how tokens are drawn.
        sources: of an encoder-decoder, a text to read for each prompt.
        ended: told a text's new tokens after each of them; where it says yes the text ends with that token.
        cached: False computes every step from the beginning: slow, the reference of the cache.

    Raises:
        InputError: a prompt is empty, or there is not one source a prompt.
    """
    texts: list[list[int]] = [[] for _ in prompts]
    finished: set[int] = set()
    for drawn in _advance(model, prompts, tokens, stop, sampling, sources, cached, finished):
        for row, token in drawn.items():
            texts[row].append(token)
            if ended is not None and ended(texts[row]):
                finished.add(row)
    return texts


@torch.inference_mode()
def _advance(
    model: Transformer,
    prompts: Sequence[Ids],
    tokens: int,
    stop: Stop,
    sampling: Sampling,
    sources: Sequence[Ids] | None,
    cached: bool,
    finished: set[int] | None = None,
) -> Iterator[dict[int, int]]:
    """Yield the new token of each row that goes on, step by step; rows in `finished` are dropped before the next."""
    check_prompts(prompts, sources)
    context, finished = model.config.context, set() if finished is None else finished
    stops = stop_set(stop)
    generators = [torch.Generator().manual_seed(sampling.seed + row) for row in range(len(prompts))]
    seen = [set(prompt) if sampling.repetition_penalty != 1 else set() for prompt in prompts]
    windows = [list(prompt[-context:]) for prompt in prompts]
    rows, memory = list(range(len(prompts))), None
    for _ in range(tokens if rows else 0):
        if memory is None:
            read = [sources[row] for row in rows] if sources is not None else None
            logits, memory = read_prompts(model, [windows[row] for row in rows], read)
        else:
            fed = torch.tensor([windows[row][-1:] for row in rows], device=model.device)
            logits, memory = model.step(fed, memory, True, last=True)
        chosen = _choose_all(logits[:, -1], sampling, [generators[row] for row in rows], [seen[row] for row in rows])
        drawn = {row: token for row, token in zip(rows, chosen, strict=True) if token not in stops}
        if not drawn:
            return
        yield drawn
        going = [place for place, row in enumerate(rows) if row in drawn and row not in finished]
        full = memory.length >= context
        for row, token in drawn.items():
            seen[row].add(token)
            cut = full and len(windows[row]) >= context
            windows[row].append(token)
            if cut:
                windows[row] = windows[row][-max(1, context // 2) :]
        if not going:
            return
        if full or not cached:
            memory = None
        elif len(going) < len(rows):
            memory.select(torch.tensor(going, device=model.device))
        rows = [rows[place] for place in going]


def stop_set(stop: Stop) -> set[int]:
    """The tokens that end a text."""
    return {stop} if isinstance(stop, int) else set(stop or ())


def check_prompts(prompts: Sequence[Ids], sources: Sequence[Ids] | None) -> None:
    """Check that there is something to continue.

    Raises:
        InputError: a prompt is empty, or there is not one source a prompt.
    """
    if not all(len(prompt) for prompt in prompts):
        raise InputError("the prompt is empty; give some text to continue")
    if sources is not None and len(sources) != len(prompts):
        raise InputError(f"{len(prompts)} prompts need as many sources, not {len(sources)}")


def _choose_all(
    logits_BV: Tensor, sampling: Sampling, generators: list[torch.Generator], seen: list[set[int]]
) -> list[int]:
    if sampling.greedy:
        return logits_BV.argmax(dim=-1).tolist()
    rows = logits_BV.cpu()
    return [choose(rows[i], sampling, generators[i], seen[i]) for i in range(len(rows))]


def read_prompts(model: Transformer, prompts: Sequence[Ids], sources: Sequence[Ids] | None) -> tuple[Tensor, Memory]:
    """Logits of the next token, [B, 1, V], and memory after prompts, padded on the left, and their sources."""
    tokens, segments = pad(prompts, left=True, device=model.device)
    source, source_segments = pad(sources, left=False, device=model.device) if sources is not None else (None, None)
    return model.step(tokens, None, True, segments=segments, source=source, source_segments=source_segments, last=True)


def pad(texts: Sequence[Ids], *, left: bool, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Texts of unequal length as rows, [B, T], and their segments, [B, T]; None where none needed padding."""
    width = max(len(text) for text in texts)
    tokens = torch.zeros(len(texts), width, dtype=torch.long)
    segments = torch.zeros(len(texts), width, dtype=torch.long)
    for row, text in enumerate(texts):
        place = slice(width - len(text), width) if left else slice(0, len(text))
        tokens[row, place] = torch.as_tensor(text)
        segments[row, place] = 1
    unequal = any(len(text) < width for text in texts)
    return tokens.to(device), segments.to(device) if unequal else None
