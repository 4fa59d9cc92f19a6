"""What is measured of real models, and that the check on it can fail: it tells right recipes from wrong ones."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from chidu.data.dataset import Dataset
from chidu.errors import InputError
from chidu.ladder.coordinates import QUANTITIES, CoordinateCheck, Shapes, coordinate_jobs, read_coordinates
from chidu.ladder.rates import RateProbe, sweep
from chidu.ladder.recipe import Recipe
from chidu.model.attention import attention_weights
from chidu.model.masks import causal_mask
from chidu.model.transformer import Transformer
from chidu.store import write_json
from chidu.training.__main__ import work
from chidu.training.coordinates import centred_scores, measure_coordinates, read_activations
from chidu.training.train import Machine, train

SHAPES = Shapes(widths=(32, 64, 128), depths=(2, 4, 8), width=32, steps=6, seeds=1)


@dataclass(frozen=True, kw_only=True)
class Wrong(Recipe):
    """A deliberate mistake: the rate of the matrices rises with width instead of falling."""

    def rates(self, width: int) -> tuple[float, float]:
        return self.embedding_rate, self.hidden_rate * width / self.base_width


def check(recipe: Recipe, dataset: Dataset, folder: Path) -> CoordinateCheck:
    """Do the jobs as a worker does, in this process."""
    jobs = coordinate_jobs(recipe, dataset.vocab_size, dataset.id, dataset.folder, folder, SHAPES)
    for job in jobs:
        write_json(job.file, {**job.spec, "machine": {"threads": 1}})
        work(job.file)
    return read_coordinates(recipe, SHAPES, jobs)


def test_the_recipe_passes_and_what_is_not_fails(dataset: Dataset, tmp_path: Path):
    """Widths of 32 and more: at the smallest ones attention averages too few channels to be flat within 0.1."""
    right = check(Recipe(), dataset, tmp_path)
    slopes = {(line.quantity, line.dial): line.slope for line in right.lines}
    assert set(slopes) == {(name, dial) for name in QUANTITIES for dial in ("width", "depth")}
    assert {key: slope for key, slope in slopes.items() if slope is None or abs(slope) > 0.2} == {}
    starts = {line.quantity: line.start for line in right.lines if line.dial == "width"}
    assert starts["head_logits"] == pytest.approx(-0.5, abs=0.1)
    assert starts["embedding"] == pytest.approx(0, abs=0.05)
    assert (starts["attention_output"], starts["feed_forward"]) == (None, None)

    standard = check(replace(Recipe(), parametrisation="standard"), dataset, tmp_path)
    steep = {(line.quantity, line.dial): line.slope or 9 for line in standard.lines if not line.flat}
    for name in ("attention_output", "feed_forward", "stream", "head_logits"):
        assert steep[name, "width"] > 0.3
    assert steep["stream", "depth"] > 0.3

    wrong = check(Wrong(), dataset, tmp_path)
    assert {line.quantity for line in wrong.lines if line.dial == "width" and not line.flat} >= {
        "feed_forward",
        "stream",
    }
    no_depth = check(replace(Recipe(), base_layers=0), dataset, tmp_path)
    assert "stream" in {line.quantity for line in no_depth.lines if line.dial == "depth" and not line.flat}


def test_a_probe_of_a_wrong_rule_drifts(dataset: Dataset, tmp_path: Path):
    """Trained for real, for some steps: the best rate of the wide model falls by more than the one step allowed."""

    def best(recipe: Recipe, width: int) -> RateProbe:
        quiet = Machine(checkpoint_seconds=1e9, tensorboard=False)
        return sweep(
            recipe,
            (width, 1),
            4_000,
            (dataset.id, dataset.vocab_size),
            lambda configs: [train(config, dataset, tmp_path / config.id, quiet) for config in configs],
            seeds=1,
        )

    steps = [best(Wrong(batch_factor=1.0), width).lowest_factor for width in (16, 128)]
    assert steps[1] < steps[0] / 1.5**2


def test_scores_come_back_from_weights():
    queries, keys = torch.randn(2, 2, 3, 5, 4).unbind(0)
    scores = queries @ keys.transpose(-2, -1) / 2
    found = centred_scores(attention_weights(queries, keys, causal_mask(5, 5, torch.device("cpu"))))
    expected = [scores[..., row, : row + 1] - scores[..., row, : row + 1].mean(-1, keepdim=True) for row in range(1, 5)]
    torch.testing.assert_close(found, torch.cat(expected, dim=-1), atol=1e-5, rtol=1e-4)


def test_activations_are_those_of_the_forward_pass(make_config):
    model = Transformer(make_config(n_layer=3).model, seed=1)
    tokens = torch.arange(24).view(2, 12)
    found = read_activations(model, tokens)
    assert {name: len(each) for name, each in found.items()} == {
        "embedding": 1,
        "attention_output": 3,
        "feed_forward": 3,
        "stream": 1,
        "attention_logits": 3,
        "head_logits": 1,
    }
    with torch.no_grad():
        torch.testing.assert_close(found["head_logits"][0], model(tokens))
        torch.testing.assert_close(model.logits(model.norm(found["stream"][0])), model(tokens))
    assert found["embedding"][0].equal(model.embedding(tokens).detach())
    assert not model.blocks[0].attention._forward_hooks


def test_only_decoders(make_config, dataset: Dataset):
    with pytest.raises(InputError, match="reads decoders"):
        measure_coordinates([make_config(kind="encoder")], dataset, 1, Machine())
