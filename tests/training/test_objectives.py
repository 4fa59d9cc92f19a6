import math

import numpy as np
import pytest
import torch

from chidu.config import ModelConfig
from chidu.data.specials import Specials
from chidu.errors import InputError
from chidu.model.transformer import Transformer, next_token_losses
from chidu.training.objectives import denoise, losses, masked_tokens, next_tokens

SPECIALS = Specials(50, eot=0, blanks=8)
WINDOWS = np.random.default_rng(0).integers(1, 50, (64, 40))
SIZES = {"d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 2, "d_ff": 32, "context": 64}


def make(kind: str) -> Transformer:
    return Transformer(ModelConfig(kind=kind, vocab_size=SPECIALS.vocab_size, **SIZES))  # type: ignore[arg-type]


def test_special_ids_stand_past_the_vocabulary():
    ids = [SPECIALS.pad, SPECIALS.mask, SPECIALS.separator, *(SPECIALS.blank(i) for i in range(8))]
    assert ids == list(range(50, 61))
    assert len(SPECIALS.names) == len(set(SPECIALS.names)) == SPECIALS.vocab_size - 50
    assert Specials.within(50, 0, SPECIALS.vocab_size) == SPECIALS
    assert Specials.within(50, 0, 50) is None
    with pytest.raises(InputError, match="no blank 8"):
        SPECIALS.blank(8)
    with pytest.raises(InputError, match="inside the vocabulary"):
        Specials(50, eot=50)


def test_next_tokens_are_the_window_moved_by_one():
    batch = next_tokens(WINDOWS)
    assert torch.equal(batch.tokens[:, 1:], batch.targets[:, :-1])
    assert batch.weights.all()


def test_of_the_masked_tokens_some_stay_and_some_change():
    batch = masked_tokens(WINDOWS, SPECIALS, seed=1, step=2)
    chosen = batch.weights > 0
    assert chosen.sum(dim=1).tolist() == [6] * 64  # 15 % of 40
    assert torch.equal(batch.targets, torch.from_numpy(WINDOWS))
    assert torch.equal(batch.tokens[~chosen], batch.targets[~chosen])
    masked = batch.tokens[chosen] == SPECIALS.mask
    changed = ~masked & (batch.tokens[chosen] != batch.targets[chosen])
    assert float(masked.float().mean()) == pytest.approx(0.8, abs=0.06)
    assert float(changed.float().mean()) == pytest.approx(0.1, abs=0.05)
    assert int(batch.tokens[chosen][changed].max()) < SPECIALS.first


def test_padding_is_never_masked():
    segments = np.zeros_like(WINDOWS)
    segments[:, :7] = 1
    batch = masked_tokens(WINDOWS, SPECIALS, seed=1, step=0, segments=segments)
    assert not batch.weights[:, 7:].any()
    assert batch.weights.sum(dim=1).tolist() == [1] * 64


def test_a_denoised_text_comes_back_whole():
    batch = denoise(WINDOWS, SPECIALS, seed=1, step=2)
    assert batch.source is not None
    assert batch.tokens[:, 0].tolist() == [SPECIALS.eot] * 64
    assert torch.equal(batch.tokens[:, 1:], batch.targets[:, :-1])
    assert batch.source.shape == (64, 40 - 6 + 2)
    lengths = set()
    for row in range(64):
        spans: dict[int, list[int]] = {}
        for token in batch.targets[row, :-1].tolist():
            if token >= SPECIALS.blank(0):
                spans[token] = []
            else:
                spans[list(spans)[-1]].append(token)
        whole = [part for token in batch.source[row].tolist() for part in spans.get(token, [token])]
        assert whole == WINDOWS[row].tolist()
        assert sum(map(len, spans.values())) == 6
        lengths |= {len(span) for span in spans.values()}
    assert lengths == {1, 2, 3, 4, 5}
    assert batch.targets[:, -1].tolist() == [SPECIALS.eot] * 64


@pytest.mark.parametrize("make_batch", [masked_tokens, denoise])
def test_a_batch_is_a_function_of_seed_and_step(make_batch):
    first = make_batch(WINDOWS, SPECIALS, seed=1, step=2)
    again, other = make_batch(WINDOWS, SPECIALS, seed=1, step=2), make_batch(WINDOWS, SPECIALS, seed=1, step=3)
    assert torch.equal(first.tokens, again.tokens)
    assert not torch.equal(first.targets * first.weights, other.targets * other.weights)


def test_windows_that_cannot_be_blanked():
    with pytest.raises(InputError, match="windows of 2 tokens are too short"):
        denoise(WINDOWS[:, :2], SPECIALS, seed=0, step=0, rate=0.9)
    with pytest.raises(InputError, match="10 spans need as many blanks, but there are 8"):
        denoise(WINDOWS, SPECIALS, seed=0, step=0, rate=0.25, span=1)


@torch.no_grad()
def test_the_loss_is_the_cross_entropy_where_it_counts():
    model = make("encoder")
    for weight in model.parameters():
        weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(weight.numel()))
    batch = masked_tokens(WINDOWS[:4], SPECIALS, seed=0, step=0)
    total, count = losses(model, batch)
    expected = next_token_losses(model(batch.tokens), batch.targets)[batch.weights > 0]
    assert float(count) == 24
    assert float(total) == pytest.approx(float(expected.sum()), rel=1e-5)
    assert [float(x) for x in losses(model, batch, dense=True)] == pytest.approx([float(total), 24], rel=1e-5)
    smooth, _ = losses(model, batch, smoothing=0.1)
    uniform = -model(batch.tokens).log_softmax(dim=-1).mean(dim=-1)[batch.weights > 0]
    assert float(smooth) == pytest.approx(float((0.9 * expected + 0.1 * uniform).sum()), rel=1e-5)


@pytest.mark.parametrize(("kind", "make_batch"), [("encoder", masked_tokens), ("encoder_decoder", denoise)])
def test_the_task_can_be_learnt(kind: str, make_batch):
    """Texts of one token repeated: what is hidden stands beside the gap."""
    windows = np.repeat(np.arange(1, 9)[:, None], 12, axis=1)
    model = make(kind)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    first = last = math.nan
    for step in range(60):
        batch = make_batch(windows, SPECIALS, seed=0, step=step)
        total, count = losses(model, batch)
        last = float((total / count).detach())
        first = last if step == 0 else first
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert first == pytest.approx(math.log(SPECIALS.vocab_size), abs=0.3)
    assert last < 0.3 * first


def test_a_batch_moves_as_a_whole():
    batch = denoise(WINDOWS, SPECIALS, seed=0, step=0).to("meta")
    assert batch.tokens.device.type == "meta"
    assert set(batch.given()) == {"source"}
