import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chidu.config import ModelConfig
from chidu.errors import InputError
from chidu.model.transformer import Transformer
from chidu.training.objectives import Batch, losses
from chidu.training.packing import Pair, pack_answers, pack_pairs

START, STOP = 1, 2
SIZES = {"vocab_size": 40, "d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 2, "d_ff": 32, "context": 32}


def draw_pairs(count: int, seed: int = 0) -> list[Pair]:
    rng = random.Random(seed)

    def text() -> list[int]:
        return [rng.randrange(3, 40) for _ in range(rng.randrange(1, 9))]

    return [(text(), text()) for _ in range(count)]


PAIRS = draw_pairs(200)


def unpack(batch: Batch) -> list[tuple[list[int], list[int], list[int]]]:
    """Source, what is read and what counts, of each text of each row."""
    found = []
    assert batch.segments is not None
    for row in range(len(batch.tokens)):
        for segment in range(1, int(batch.segments[row].max()) + 1):
            here = batch.segments[row] == segment
            source: list[int] = []
            if batch.source is not None and batch.source_segments is not None:
                source = batch.source[row][batch.source_segments[row] == segment].tolist()
            counted = here & (batch.weights[row] > 0)
            found.append((source, batch.tokens[row][here].tolist(), batch.targets[row][counted].tolist()))
    return found


def test_every_pair_is_there_once_and_rows_are_full():
    rows = pack_pairs(PAIRS, source_length=32, target_length=32, start=START, stop=STOP)
    assert rows.dropped == ()
    assert rows.fill > 0.85
    assert sorted(number for row in rows.origin for number in row) == list(range(200))
    order = [number for row in rows.origin for number in row]
    expected = [(list(PAIRS[n][0]), [START, *PAIRS[n][1]], [*PAIRS[n][1], STOP]) for n in order]
    assert unpack(rows.take(range(len(rows)))) == expected


def test_an_answer_alone_counts():
    rows = pack_answers(PAIRS, length=32, stop=STOP)
    order = [number for row in rows.origin for number in row]
    expected = [([], [*PAIRS[n][0], *PAIRS[n][1]], [*PAIRS[n][1], STOP]) for n in order]
    assert unpack(rows.take(range(len(rows)))) == expected
    assert rows.fill > 0.9


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_what_does_not_fit_is_named(sizes: list[tuple[int, int]]):
    pairs = [([5] * a, [6] * b) for a, b in sizes]
    too_long = tuple(n for n, (a, b) in enumerate(sizes) if a > 8 or b + 1 > 8)
    if len(too_long) == len(pairs):
        with pytest.raises(InputError, match="no pair fits rows of 8 and 8 tokens"):
            pack_pairs(pairs, source_length=8, target_length=8, start=START, stop=STOP)
        return
    rows = pack_pairs(pairs, source_length=8, target_length=8, start=START, stop=STOP)
    assert rows.dropped == too_long
    assert sorted(n for row in rows.origin for n in row) == sorted(set(range(len(pairs))) - set(too_long))


@pytest.mark.parametrize("kind", ["decoder", "encoder_decoder"])
@torch.no_grad()
def test_the_loss_of_packed_pairs_is_that_of_each_alone(kind: str):
    model = Transformer(ModelConfig(kind=kind, **SIZES))  # type: ignore[arg-type]
    for weight in model.parameters():
        weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(weight.numel()))

    def pack(pairs: list[Pair]) -> Batch:
        if kind == "decoder":
            rows = pack_answers(pairs, length=32, stop=STOP)
        else:
            rows = pack_pairs(pairs, source_length=32, target_length=32, start=START, stop=STOP)
        return rows.take(range(len(rows)))

    together, count = losses(model, pack(PAIRS[:20]))
    each = [losses(model, pack([pair])) for pair in PAIRS[:20]]
    assert float(together) == pytest.approx(sum(float(total) for total, _ in each), rel=1e-5)
    assert float(count) == sum(float(n) for _, n in each) == sum(len(answer) + 1 for _, answer in PAIRS[:20])


def test_batches_are_epochs_of_all_rows():
    rows = pack_answers(PAIRS, length=32, stop=STOP)
    size = len(rows) // 3
    steps = [rows.batch(seed=5, step=step, size=size).tokens for step in range(7)]
    seen = torch.cat(steps)[: len(rows)]
    assert sorted(map(tuple, seen.tolist())) == sorted(map(tuple, rows.tokens.tolist()))
    assert torch.equal(rows.batch(seed=5, step=2, size=size).tokens, steps[2])
    assert not torch.equal(rows.batch(seed=6, step=2, size=size).tokens, steps[2])


def test_a_question_must_say_something():
    with pytest.raises(InputError, match="a question is empty"):
        pack_answers([([], [5])], length=8, stop=STOP)
