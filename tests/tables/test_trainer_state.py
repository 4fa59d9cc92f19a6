import json
import math
import struct

import pytest

from chidu.errors import InputError
from chidu.tables.read import read_runs


def state(steps=(100, 200), most=200, tokens=1000.0, losses=(3.4, 3.5), flos=0.0):
    history = []
    for step, loss in zip(steps, losses, strict=True):
        seen = {"num_input_tokens_seen": int(step * tokens)} if tokens else {}
        rate = 1e-3 * (1 - step / steps[-1])
        history.append(
            {"epoch": 0.5, "grad_norm": 1.1, "learning_rate": rate, "loss": loss - 0.1, "step": step, **seen}
        )
        history.append({"epoch": 0.5, "eval_loss": loss, "eval_runtime": 2.0, "step": step, **seen})
    history.append({"epoch": 1.0, "step": steps[-1], "total_flos": flos, "train_loss": 5.0, "train_runtime": 9.0})
    return {
        "best_metric": None,
        "epoch": 1.0,
        "eval_steps": 100,
        "global_step": steps[-1],
        "is_world_process_zero": True,
        "log_history": history,
        "max_steps": most,
        "num_input_tokens_seen": int(steps[-1] * tokens),
        "num_train_epochs": 1,
        "total_flos": flos,
        "train_batch_size": 8,
    }


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_weights(folder, shapes):
    """A safetensors file: the length of its header, the header, zeros."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        end = at + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * at)


def test_a_folder_of_output_folders(tmp_path):
    for name, width in (("small", 10), ("large", 20)):
        write(tmp_path / name / "checkpoint-100" / "trainer_state.json", state((100,), losses=(3.4,)))
        path = write(tmp_path / name / "checkpoint-200" / "trainer_state.json", state(flos=9e9))
        write_weights(path.parent, {"embed.weight": [50, width], "norm.weight": [width]})
        write(path.parent / "config.json", {"hidden_size": width, "num_hidden_layers": 3, "vocab_size": 50})
    table = read_runs(tmp_path)
    assert [(run.run, run.params, run.tokens, run.loss, run.step) for run in table] == [
        ("large", 1020, 200_000, 3.5, 200),
        ("small", 510, 200_000, 3.5, 200),
    ]
    assert (table.runs[0].d_model, table.runs[0].n_layer, table.runs[0].flops) == (20, 3, 9e9)
    assert table.runs[0].learning_rate == pytest.approx(5e-4)
    assert "in 2 of 2 runs an earlier evaluation was lower" in table.notes[0]
    assert "params is counted from the weights beside the state" in table.notes[1]


def test_one_state(tmp_path):
    path = write(tmp_path / "out" / "trainer_state.json", state(flos=6.0 * 1e6 * 200_000))
    table = read_runs(path)
    run = table.runs[0]
    assert (run.run, run.loss, run.params, run.tokens) == ("out", 3.5, pytest.approx(1e6), 200_000)
    assert any("params is what total_flos implies" in note for note in table.notes)
    assert any("parameters without embedding" in note for note in table.notes)


def test_values_are_those_of_the_last_evaluation(tmp_path):
    value = state(flos=1e12)
    value["global_step"] = value["max_steps"] = 250
    value["log_history"].append({"loss": 3.0, "learning_rate": 0.0, "step": 250, "num_input_tokens_seen": 250_000})
    run = read_runs(write(tmp_path / "trainer_state.json", value), {"params": "1e6"}).runs[0]
    assert (run.step, run.tokens, run.loss) == (200, 200_000, 3.5)
    assert run.flops == 6 * 1e6 * 200_000  # the total is that of step 250


def test_a_run_that_stopped_is_set_aside(tmp_path):
    write(tmp_path / "a" / "trainer_state.json", state(most=1000))
    write(tmp_path / "b" / "trainer_state.json", state())
    table = read_runs(tmp_path, {"params": "1e6"})
    assert [gone.reason for gone in table.set_aside] == ["status is 'stopped at step 200 of 1000'"]
    assert [run.run for run in table] == ["b"]


def test_only_training_losses(tmp_path):
    value = state()
    value["log_history"] = [entry for entry in value["log_history"] if "eval_loss" not in entry]
    table = read_runs(write(tmp_path / "trainer_state.json", value), {"params": "1e6"})
    assert table.runs[0].loss == pytest.approx(3.4)  # not the mean over the training
    assert any("training loss" in note for note in table.notes)


def test_an_index_of_several_files(tmp_path):
    write(tmp_path / "trainer_state.json", state())
    index = write(tmp_path / "model.safetensors.index.json", {"metadata": {"total_parameters": 12345}})
    assert read_runs(tmp_path).runs[0].params == 12345
    write(index, {"metadata": {"total_size": 12345}})
    with pytest.raises(InputError, match=r"lacks the column params.*config\.json beside each"):
        read_runs(tmp_path)


def test_what_is_missing_is_named_and_how_to_give_it(tmp_path):
    path = write(tmp_path / "trainer_state.json", state(tokens=0))
    with pytest.raises(InputError, match=r"lacks the column params and tokens.*--column params=1\.4B"):
        read_runs(path)
    write(tmp_path / "config.json", {"n_params": 1e6, "tokens_per_step": 500})
    run = read_runs(path).runs[0]
    assert (run.params, run.tokens) == (1e6, 100_000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"log_history": [', "line 1: not valid JSON"),
        ('{"log_history": 3}', "has no log_history and global_step of a Trainer"),
    ],
)
def test_damage_is_named(text, words, tmp_path):
    (tmp_path / "trainer_state.json").write_text(text)
    with pytest.raises(InputError, match=words):
        read_runs(tmp_path)


def test_damaged_weights_are_named(tmp_path):
    write(tmp_path / "trainer_state.json", state())
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 5) + b"{oops")
    with pytest.raises(InputError, match=r"model\.safetensors is damaged"):
        read_runs(tmp_path)
