import math

import pytest
import torch

from chidu.errors import InputError
from chidu.model.heads import Classifier, SpanReader, best_spans, pool

TOKENS = torch.arange(12).view(2, 6)
SEGMENTS = torch.tensor([[1] * 6, [0, 0, 1, 1, 1, 0]])


def test_pooling_leaves_out_the_padding():
    x = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pool(x, SEGMENTS, "mean")[1], x[1, 2:5].mean(dim=0))
    torch.testing.assert_close(pool(x, SEGMENTS, "first")[1], x[1, 2])
    torch.testing.assert_close(pool(x, None, "first"), x[:, 0])
    torch.testing.assert_close(pool(x, None, "mean"), x.mean(dim=1))


@pytest.mark.parametrize("pooling", ["mean", "first"])
@torch.no_grad()
def test_a_padded_text_gets_the_scores_it_gets_alone(make_model, pooling):
    classifier = Classifier(make_model(kind="encoder"), 3, pooling=pooling).eval()
    assert classifier(TOKENS).tolist() == [[0, 0, 0]] * 2  # a uniform guess at the start
    classifier.out.weight.normal_(generator=torch.Generator().manual_seed(1))
    padded, alone = classifier(TOKENS, segments=SEGMENTS), classifier(TOKENS[1:, 2:5])
    torch.testing.assert_close(padded[1:], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_no_answer_lies_in_the_padding(make_model):
    reader = SpanReader(make_model(kind="encoder")).eval()
    start, end = reader(TOKENS, segments=SEGMENTS)
    assert (start[1] == -math.inf).tolist() == [True, True, False, False, False, True]
    spans, _ = best_spans(start, end, longest=6)
    assert 2 <= spans[1, 0] <= spans[1, 1] <= 4


def test_the_best_span_is_that_of_a_search_of_all():
    generator = torch.Generator().manual_seed(3)
    start, end = torch.randn(4, 9, generator=generator), torch.randn(4, 9, generator=generator)
    allowed = torch.rand(4, 9, generator=generator) < 0.8
    spans, scores = best_spans(start, end, allowed, longest=3)
    for row in range(4):
        options = {
            (i, j): float(start[row, i] + end[row, j])
            for i in range(9)
            for j in range(i, min(9, i + 3))
            if allowed[row, i] and allowed[row, j]
        }
        best = max(options, key=lambda span: options[span])
        assert tuple(spans[row].tolist()) == best
        assert float(scores[row]) == pytest.approx(options[best])


def test_heads_that_cannot_be(make_model):
    with pytest.raises(InputError, match="at least two classes"):
        Classifier(make_model(), 1)
    with pytest.raises(InputError, match="pooling must be one of"):
        Classifier(make_model(), 2, pooling="max")  # type: ignore[arg-type]
