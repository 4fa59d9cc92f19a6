from pathlib import Path

import pytest
import torch

from chidu.model.transformer import Transformer
from chidu.store import read_json
from chidu.training import train as room
from chidu.training.average import Average
from chidu.training.checkpoint import load_model
from chidu.training.evaluation import evaluate
from chidu.training.train import Machine, train


def weights(model: Transformer) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in model.parameters()]


def test_it_is_the_mean_of_the_last_weights(make_config):
    config = make_config(average=0.25)
    assert config.average_steps == 3
    average, models = Average(config), [Transformer(config.model, seed) for seed in range(12)]
    for finished, model in enumerate(models, start=1):
        average.add(model, finished)
        assert bool(average.mean) == (finished > 9)
    other = Transformer(config.model, seed=20)
    average.put_in(other)
    for place, found in enumerate(weights(other)):
        wanted = torch.stack([weights(model)[place] for model in models[9:]]).mean(dim=0)
        assert torch.allclose(found, wanted, atol=1e-6)


def test_without_it_the_last_weights_stay(make_config):
    config = make_config()
    average, model = Average(config), Transformer(config.model)
    before = weights(model)
    average.add(model, config.steps)
    average.put_in(model)
    assert average.to_tensors(model) == {}
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_run_is_evaluated_and_kept_with_its_mean(make_config, dataset, tmp_path: Path, quiet, monkeypatch):
    config, seen = make_config(average=0.25), []
    real = room.train_step

    def watched(config, model, *rest):
        seen.append(weights(model))
        return real(config, model, *rest)

    monkeypatch.setattr(room, "train_step", watched)
    run = train(config, dataset, tmp_path / "run", quiet)
    plain = train(make_config(), dataset, tmp_path / "plain", quiet)
    kept, _ = load_model(tmp_path / "run")
    last, _ = load_model(tmp_path / "plain")
    for place, (found, end) in enumerate(zip(kept.parameters(), last.parameters(), strict=True)):
        wanted = torch.stack([seen[10][place], seen[11][place], end.detach()]).mean(dim=0)
        assert torch.allclose(found, wanted, atol=1e-6)
    assert run.loss == evaluate(kept, dataset.windows("passages", 32), dataset.token_bytes).loss != plain.loss


@pytest.mark.parametrize("step", [5, 10, 11, 12])
def test_killed_and_resumed_it_is_the_same_mean(
    make_config, dataset, tmp_path: Path, quiet, monkeypatch: pytest.MonkeyPatch, step: int
):
    """The mean is over the last four of twelve steps."""
    config, count, real = make_config(average=0.33), [0], room.train_step

    def dying(*args):
        count[0] += 1
        if count[0] == step:
            raise KeyboardInterrupt
        return real(*args)

    train(config, dataset, tmp_path / "whole", quiet)
    monkeypatch.setattr(room, "train_step", dying)
    with pytest.raises(KeyboardInterrupt):
        train(config, dataset, tmp_path / "run", Machine(checkpoint_seconds=0, tensorboard=False))
    checkpoint = next((tmp_path / "run").glob("checkpoint-*"))
    assert (checkpoint / "average.safetensors").exists() == (step > 9)
    monkeypatch.undo()
    train(config, dataset, tmp_path / "run", quiet)
    names = ["run/checkpoint-12/model.safetensors", "whole/checkpoint-12/model.safetensors"]
    assert (tmp_path / names[0]).read_bytes() == (tmp_path / names[1]).read_bytes()
    assert read_json(tmp_path / "run" / "run.json")["loss"] == read_json(tmp_path / "whole" / "run.json")["loss"]
    assert not list(tmp_path.rglob("average.safetensors"))
