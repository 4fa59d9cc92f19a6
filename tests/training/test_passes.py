"""The ways of a step. What only a GPU does is tested with a stand-in for its graphs."""

import numpy as np
import pytest
import torch

from chidu.data.loader import Loader
from chidu.model.transformer import Transformer
from chidu.training import passes as room
from chidu.training.optimizer import make_optimizer, set_rate
from chidu.training.passes import add_step_gradients, feed, make_passes, read_ahead, recorded
from chidu.training.train import train_step


def draw(config, number: int) -> torch.Tensor:
    shape = (config.batch_tokens // config.model.context, config.model.context + 1)
    return torch.randint(config.model.vocab_size, shape, generator=torch.Generator().manual_seed(number))


@pytest.mark.parametrize("accumulate", [1, 4])
def test_written_out_steps_are_those_of_autograd(make_config, monkeypatch: pytest.MonkeyPatch, accumulate: int):
    config = make_config(n_kv_head=2, accumulate=accumulate, eps=1e-3)
    results = []
    for written_out in (True, False):
        monkeypatch.setattr(room, "can_write_out", lambda model, way=written_out: way)
        model = Transformer(config.model)
        optimizer = make_optimizer(model, config)
        set_rate(optimizer, 0.5)
        steps = [train_step(config, model, optimizer, draw(config, number)) for number in range(4)]
        results.append(([float(loss) for loss, _ in steps], [float(norm) for _, norm in steps], optimizer.weights))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    assert results[0][1] == pytest.approx(results[1][1], rel=1e-4)
    torch.testing.assert_close(results[0][2], results[1][2], atol=1e-5, rtol=0)


def test_recorded_passes_are_replayed_on_each_batch(make_config):
    """The stand-in runs the passes as often as the recording of a graph does, and again at each replay."""
    config = make_config()
    model, other = Transformer(config.model), Transformer(config.model)
    optimizers = [make_optimizer(model, config), make_optimizer(other, config)]
    recordings = []

    def record(passes, batch):
        static = batch.clone()
        recordings.append([passes(static) for _ in range(4)])
        return lambda batch: passes(static.copy_(batch))

    replayed = recorded(lambda batch, step: add_step_gradients(config, model, batch, None, step), model, record)
    for number in range(3):
        for optimizer in optimizers:
            set_rate(optimizer, 1.0)
        batch = draw(config, number)
        found = train_step(config, model, optimizers[0], batch, None, number, replayed)
        expected = train_step(config, other, optimizers[1], batch)
        assert [float(value) for value in found] == [float(value) for value in expected]
    assert len(recordings) == 1


def test_a_cpu_records_nothing(make_config, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "record_graph", None)
    config = make_config()
    model = Transformer(config.model)
    make_optimizer(model, config)
    assert float(make_passes(config, model)(draw(config, 0), 0)) > 0


def test_batches_are_fed_in_order_also_when_read_ahead():
    loader = Loader(np.arange(1000), 10, 3)
    expected = [torch.from_numpy(loader.batch(step)) for step in range(4, 12)]
    for found in (list(feed(loader, range(4, 12), "cpu")), list(read_ahead(loader, range(4, 12), pin=False))):
        assert [batch.tolist() for batch in found] == [batch.tolist() for batch in expected]


def test_an_error_of_the_reading_thread_is_raised_where_batches_are_taken():
    class Broken:
        def batch(self, step: int) -> np.ndarray:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        next(read_ahead(Broken(), range(3), pin=False))
