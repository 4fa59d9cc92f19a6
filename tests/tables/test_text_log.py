import json

import pytest

from chidu.errors import InputError
from chidu.tables.read import read_runs

NANOGPT = """Overriding config with config/train_shakespeare_char.py:
# train a miniature character-level shakespeare model
max_iters = {most}
Overriding: batch_size = 64
tokens per iteration will be: 16,384
found vocab_size = 65 (inside data/shakespeare_char/meta.pkl)
Initializing a new model from scratch
number of parameters: {params}M
num decayed parameter tensors: 26, with 10,740,096 parameters
compiling the model... (takes a ~minute)
step 0: train loss 4.2874, val loss 4.2823
iter 0: loss 4.2654, time 31761.60ms, mfu -100.00%
iter 10: loss 3.2453, time 19.02ms, mfu 19.59%
step 1000: train loss 1.3, val loss {best}
saving checkpoint to out-shakespeare-char
step 2000: train loss 1.1, val loss {loss}
"""


def write(path, params=10.65, loss=1.5, best=1.6, most=2000):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(NANOGPT.format(params=params, loss=loss, best=best, most=most), encoding="utf-8")
    return path


def test_a_log_of_nanogpt(tmp_path):
    table = read_runs(write(tmp_path / "baby" / "train.log"))
    run = table.runs[0]
    assert (run.params, run.tokens, run.loss, run.step) == (10.65e6, 2000 * 16384, 1.5, 2000)
    assert any("without position embeddings" in note for note in table.notes)
    assert "tokens is taken as step * batch_tokens" in table.notes


def test_a_folder_of_logs(tmp_path):
    write(tmp_path / "run-2" / "out.txt", params=3.1, loss=1.8, best=1.9)
    write(tmp_path / "run-10" / "out.txt", params=10.65, loss=1.5, best=1.45)
    write(tmp_path / "run-11" / "out.txt", most=5000)
    write(tmp_path / "run-12" / "out.txt", loss="nan")
    (tmp_path / "notes.txt").write_text("nothing of the kind\n")
    table = read_runs(tmp_path)
    assert [(run.run, run.params, run.loss) for run in table] == [("run-2", 3.1e6, 1.8), ("run-10", 10.65e6, 1.5)]
    assert [(gone.run, gone.reason) for gone in table.set_aside] == [
        ("run-11", "status is 'stopped at step 2000 of 5000'"),
        ("run-12", "val/loss is nan, not a finite number"),
    ]
    assert "in 1 of 4 runs an earlier evaluation was lower, by up to 3.3%" in table.notes[0]


def test_logs_side_by_side_are_named_by_their_files(tmp_path):
    write(tmp_path / "a.log", loss=1.8)
    write(tmp_path / "b.log", loss=1.7)
    (tmp_path / "b.json").write_text(json.dumps({"seed": 3, "n_layer": 6}))
    table = read_runs(tmp_path)
    assert [(run.run, run.params, run.seed, run.n_layer) for run in table] == [
        ("a", 10.65e6, None, None),
        ("b", 10.65e6, 3, 6),
    ]


def test_the_last_of_several_runs_in_a_log(tmp_path):
    path = write(tmp_path / "x.log", params=3.1, loss=1.2, best=1.0)
    path.write_text(path.read_text() + NANOGPT.format(params=5.5, loss=1.4, best=1.5, most=2000))
    table = read_runs(path)
    assert (table.runs[0].params, table.runs[0].loss) == (5.5e6, 1.4)
    assert "lower" not in table.notes[0]


def test_a_log_of_modded_nanogpt(tmp_path):
    text = "s:0 nothing\nstep:0/1750 val_loss:10.8258 train_time:0ms\nstep:1750/1750 val_loss:3.2792 train_time:9ms\n"
    (tmp_path / "speed.txt").write_text(text)
    run = read_runs(tmp_path / "speed.txt", {"params": "124M", "batch_tokens": "393216"}).runs[0]
    assert (run.loss, run.tokens) == (3.2792, 1750 * 393216)


def test_a_log_that_does_not_say_its_params(tmp_path):
    path = tmp_path / "x.log"
    path.write_text("step 0: train loss 4.2, val loss 4.3\nstep 10: train loss 3.2, val loss 3.3\n")
    with pytest.raises(InputError, match=r"lacks the column params and tokens.*config\.json beside each"):
        read_runs(path)
    (tmp_path / "config.json").write_text('{"params": 1e6, "tokens_per_step": ')
    with pytest.raises(InputError, match=r"config\.json, line 1: not valid JSON"):
        read_runs(path)
    (tmp_path / "config.json").write_text('{"params": 1e6, "tokens_per_step": 500}')
    assert read_runs(path).runs[0].tokens == 5000
