"""Whether every fast way of training gives the numbers of the plain float32 one, on English novels.

The reference is `Transformer.forward` and autograd in float32, one micro-batch a step. Beside it: the written-out
passes, bfloat16 autocast, compiled blocks, micro-batches, and all seeds as one stack, each 300 steps with four seeds;
and two processes (FSDP2 by torchrun, gloo) for some steps. Bars: every held-out loss within twice the seeds' spread
(standard deviation of the reference's losses over seeds) of the same seed's reference; each of the first steps of a
stacked model, and of two processes, has the loss of its lone twin to 1e-5.

    python benchmarks/same_numbers.py [--steps 300] [--seeds 4] [--width 16] [--data FOLDER] [--check]

A CPU without bfloat16 arithmetic emulates it, 20 times slower: the model is small. `--compiler` names the compiler's
backend, `--without` ways to leave out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import novels
import record
from chidu.config import ModelConfig, TrainConfig
from chidu.data.dataset import Dataset
from chidu.data.loader import Loader
from chidu.model.transformer import Transformer
from chidu.store import write_json
from chidu.training import passes, train
from chidu.training.compiling import compile_blocks
from chidu.training.optimizer import make_optimizer, set_rate
from chidu.training.schedule import rate_multiplier
from chidu.training.stacked import Stack, train_stacked
from chidu.training.train import Machine, train_step

TOLERANCE = 1e-5
FIRST = 20
"""Steps that are compared one by one: later ones differ by what rounding has grown to."""
QUIET = Machine(tensorboard=False, checkpoint_seconds=1e9)


def main() -> int:
    """Train all ways, compare, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    novels.add_options(parser)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--compiler", default="inductor", help="the compiler's backend")
    parser.add_argument("--without", nargs="*", default=[], help="ways to leave out")
    asked = parser.parse_args()
    with novels.open_work(asked) as (data, _), tempfile.TemporaryDirectory(prefix="chidu-same-") as folder:
        configs = [make_config(data, asked.width, asked.steps, seed) for seed in range(asked.seeds)]
        losses, seconds = train_all(configs, data, Path(folder), asked)
        stacked, sharded = compare_stack(configs, data), compare_processes(configs[0], data, Path(folder))
    spread = statistics.stdev(losses["float32"])
    print(f"seeds' spread {spread:.4f}; twice that is the bar")
    missed = []
    for way, found in losses.items():
        worst = max(abs(a - b) for a, b in zip(found, losses["float32"], strict=True))
        print(f"{way:<12} mean {statistics.mean(found):.4f}  largest difference {worst:.5f}  {seconds[way]:6.1f} s")
        if worst > 2 * spread:
            missed.append(f"{way}: {worst:.4f} from the reference, not within {2 * spread:.4f}")
    for name, error in (("stacked", stacked), ("two processes", sharded)):
        print(f"{name:<14} largest relative difference of a loss in the first {FIRST} steps {error:.1e}")
        if error > TOLERANCE:
            missed.append(f"{name}: {error:.1e} in the first {FIRST} steps, not {TOLERANCE:.0e}")
    figures = {
        "model": configs[0].model.to_json(),
        "steps": asked.steps,
        "spread": spread,
        "losses": losses,
        "seconds": seconds,
        "compiler": asked.compiler,
        "stacked_first_steps": stacked,
        "processes_first_steps": sharded,
        "left_out": asked.without,
    }
    print(record.write("same_numbers", figures))
    return record.judge(missed, asked.check)


def make_config(data: Dataset, width: int, steps: int, seed: int) -> TrainConfig:
    """A small model, 256 tokens a step."""
    model = ModelConfig(
        vocab_size=data.vocab_size, d_model=width, n_layer=2, n_head=1, n_kv_head=1, d_ff=8 * -(-width // 3), context=32
    )
    return TrainConfig(
        model=model,
        data=data.id,
        tokens=256 * steps,
        batch_tokens=256,
        learning_rate=0.025,
        hidden_learning_rate=0.0034 * 32 / width,
        seed=seed,
    )


def train_all(
    configs: Sequence[TrainConfig], data: Dataset, folder: Path, asked: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Held-out losses of each way, a seed each, and the seconds they took."""
    train.compile_blocks = lambda model: compile_blocks(model, asked.compiler)
    can = passes.can_write_out

    def lone(machine: Machine = QUIET, written_out: bool = False, **changes: Any) -> Callable[[str], list[float]]:
        def run(way: str) -> list[float]:
            passes.can_write_out = can if written_out else lambda model: False
            changed = [replace(config, **changes) for config in configs]
            return [train.train(c, data, folder / way / str(i), machine).loss for i, c in enumerate(changed)]

        return run

    def together(way: str) -> list[float]:
        outs = [folder / way / str(i) for i in range(len(configs))]
        return [run.loss for run in train_stacked(configs, data, outs, QUIET)]

    ways = {
        "float32": lone(),
        "written out": lone(written_out=True),
        "accumulated": lone(accumulate=4),
        "stacked": together,
        "compiled": lone(replace(QUIET, compile="on")),
        "bfloat16": lone(dtype="bfloat16"),
    }
    losses, seconds = {}, {}
    for way, run in ways.items():
        if way not in asked.without:
            started = time.monotonic()
            losses[way] = run(way)
            seconds[way] = time.monotonic() - started
            print(f"{way:<12} {' '.join(f'{loss:.4f}' for loss in losses[way])}", flush=True)
    passes.can_write_out = can
    return losses, seconds


def compare_stack(configs: Sequence[TrainConfig], data: Dataset) -> float:
    """The largest relative difference of a loss between models in a stack and their lone twins."""
    alone, joined = ([Transformer(config.model, config.seed) for config in configs] for _ in range(2))
    lone, joint = ([make_optimizer(m, c) for m, c in zip(ms, configs, strict=True)] for ms in (alone, joined))
    stack, worst = Stack(joined, joint), 0.0
    loader = Loader(data.train, configs[0].model.context, 8, train.DATA_SEED)
    for step in range(FIRST):
        for optimizer in (*lone, *joint):
            set_rate(optimizer, rate_multiplier(configs[0], step))
        batch = torch.from_numpy(loader.batch(step))
        together, _ = stack.step(configs, batch)
        for config, model, optimizer, found in zip(configs, alone, lone, together.tolist(), strict=True):
            expected = float(train_step(config, model, optimizer, batch)[0])
            worst = max(worst, abs(found - expected) / expected)
    return worst


def compare_processes(config: TrainConfig, data: Dataset, folder: Path) -> float:
    """The same between two processes by torchrun and one, of the losses that their logs hold and the held-out one."""
    short = replace(config, tokens=FIRST * config.batch_tokens, eval_every=1)
    job = {"verb": "train", "config": short.to_json(), "data": str(data.folder), "out": str(folder / "two")}
    write_json(folder / "two.json", {**job, "machine": {"tensorboard": False}})
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "chidu.training", str(folder / "two.json")], env=environment, check=True)
    train.train(short, data, folder / "one", QUIET)
    found, expected = (read_losses(folder / name) for name in ("two", "one"))
    return max(abs(a - b) / b for a, b in zip(found, expected, strict=True))


def read_losses(out: Path) -> list[float]:
    """Held-out losses after every step."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


if __name__ == "__main__":
    sys.exit(main())
