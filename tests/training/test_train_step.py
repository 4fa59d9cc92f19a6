import math
from dataclasses import replace

import pytest
import torch

from chidu.config import TrainConfig
from chidu.model.transformer import Transformer, next_token_losses
from chidu.training.optimizer import make_optimizer, set_rate
from chidu.training.train import train_step


def draw_batch(config: TrainConfig, seed: int = 0) -> torch.Tensor:
    shape = (config.batch_tokens // config.model.context, config.model.context + 1)
    return torch.randint(config.model.vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def run_steps(config: TrainConfig, steps: int, rate: float = 1.0) -> tuple[Transformer, list[float], list[float]]:
    """Train on one batch again and again: the model, the losses and the gradients' norms."""
    model = Transformer(config.model)
    optimizer = make_optimizer(model, config)
    set_rate(optimizer, rate)
    both = [train_step(config, model, optimizer, draw_batch(config)) for _ in range(steps)]
    return model, [float(loss) for loss, _ in both], [float(norm) for _, norm in both]


def test_steps_reduce_the_loss_from_that_of_a_guess(make_config):
    config = make_config()
    _, losses, _ = run_steps(config, 30)
    assert losses[0] == pytest.approx(math.log(config.model.vocab_size), abs=0.02)
    assert losses[-1] < losses[0] - 0.5


def test_loss_and_norm_are_those_before_the_step(make_config):
    config = make_config()
    model, batch = Transformer(config.model), draw_batch(config)
    loss = next_token_losses(model(batch[:, :-1]), batch[:, 1:]).mean()
    loss.backward()
    norm = math.sqrt(sum(float((weight.grad**2).sum()) for weight in model.parameters() if weight.grad is not None))
    _, losses, norms = run_steps(config, 1)
    assert losses[0] == pytest.approx(loss.item(), rel=1e-6)
    assert norms[0] == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize("accumulate", [2, 4, 8])
def test_accumulated_micro_batches_are_one_large_batch(make_config, accumulate: int):
    """Up to rounding, which AdamW's first steps, of the size of the rate whatever the gradient's, can blow up."""
    whole, parts = (run_steps(make_config(accumulate=a, eps=1e-3), 3) for a in (1, accumulate))
    assert parts[1] == pytest.approx(whole[1], abs=1e-6)
    for one, other in zip(whole[0].parameters(), parts[0].parameters(), strict=True):
        torch.testing.assert_close(other, one, atol=1e-6, rtol=0)


def test_bfloat16_stays_near_float32_and_keeps_float32_weights(make_config):
    config = make_config()
    _, exact, _ = run_steps(config, 20)
    model, rough, _ = run_steps(replace(config, dtype="bfloat16"), 20)
    assert rough == pytest.approx(exact, abs=0.02)
    assert rough != exact
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


@torch.no_grad()
def test_the_gradient_is_clipped(make_config):
    """With a huge eps the step is proportional to the clipped gradient."""
    moved = []
    for clip in (0.02, 0.01):
        config = make_config(clip_norm=clip, eps=1e6, weight_decay=0.0)
        with torch.enable_grad():
            model, _, norms = run_steps(config, 1, rate=1e6)
        assert norms[0] > 0.1
        pairs = zip(model.parameters(), Transformer(config.model).parameters(), strict=True)
        moved.append(math.sqrt(sum(float(((after - before) ** 2).sum()) for after, before in pairs)))
    assert moved[0] == pytest.approx(2 * moved[1], rel=1e-2)
