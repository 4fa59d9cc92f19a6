"""Training speed on one core beside `transformers.Trainer` and `litgpt`: round by round, each in a process of its own.

All train decoders of the same sizes on the same batches with AdamW and clipping, one thread each. A system's process
waits while the others have their turn, so that other work on the machine hits all alike; a ratio is the median of those
of the rounds, the spread its quartiles. `trainer` is transformers' Trainer with its defaults; `trainer compiled` has
`torch_compile`; litgpt runs the model, loss and loop of its `pretrain`, which compiles. All compute in float32 unless
`--dtype bfloat16`, which pays only where the CPU has such arithmetic. A token has 6 (12 d^2 L + V d) + 6 L d T FLOPs.
The matrix-product rate is the best of square products of 512 and 1024, measured in the same rounds.

Bars (one thread a run, torch alone): at least 3 times `trainer llama` at 0.15M and 0.8M and 4 times at 3M and 11M; at
least 1.3 times litgpt at every size; at least 30, 42, 60 and 65 % of the bfloat16 matrix-product rate; two workers on
two cores at least 1.85 times one; the first step of a second process of a known shape within 5 s.

    python benchmarks/train_speed.py [--rounds 5] [--seconds 1] [--sizes 0.15M 0.8M 3M 11M] [--check]
        [--peers PYTHON] [--litgpt PYTHON] [--dtype float32]

`--peers` is the interpreter of an environment with transformers and accelerate, `--litgpt` one with litgpt; each is
left out, and said to be, where it is missing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import record

CONTEXT = 256


@dataclass(frozen=True)
class Size:
    """A decoder with heads of 64 channels, and the sequences of a step."""

    width: int
    layers: int
    vocabulary: int
    sequences: int
    trainer_ratio: float
    """Bar: times the speed of Trainer's Llama."""
    share: float
    """Bar: of the bfloat16 matrix-product rate."""

    @property
    def hidden(self) -> int:
        """Width of the feed-forward."""
        return 8 * -(-self.width // 3)

    @property
    def tokens(self) -> int:
        """Of a step."""
        return self.sequences * CONTEXT

    @property
    def flops(self) -> float:
        """Of a token."""
        d, layers = self.width, self.layers
        return 6 * (12 * d * d * layers + self.vocabulary * d) + 6 * layers * d * CONTEXT


SIZES = {
    "0.15M": Size(64, 3, 1024, 16, 3, 0.30),
    "0.8M": Size(128, 4, 1024, 16, 3, 0.42),
    "3M": Size(256, 4, 4096, 8, 4, 0.60),
    "11M": Size(384, 6, 4096, 4, 4, 0.65),
}
LITGPT_RATIO, WORKERS_RATIO, SECOND_START = 1.3, 1.85, 5.0
SYSTEMS = ("chidu", "chidu compiled", "trainer gpt2", "trainer llama", "trainer llama compiled", "litgpt compiled")
Step = Callable[[], None]


def main() -> int:
    """Measure every size, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS)
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--litgpt", default=sys.executable)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--two", nargs="*", default=["0.15M", "0.8M"], help="sizes for two workers beside one")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        return serve(*asked.worker, dtype=asked.dtype)
    pythons = find_pythons(asked.systems, asked.peers, asked.litgpt)
    rows, missed = [], []
    head = f"{'size':>6} {'system':<24} {'tokens/s':>9} {'GFLOP/s':>8} {'of f32':>7} {'of bf16':>8}"
    print(f"{head} {'ratio':>16} {'first step s':>13}")
    for name in asked.sizes:
        row = measure(name, pythons, asked)
        rows.append(row)
        missed += judge_size(name, row)
    pairs = [two_workers(name, pythons["chidu"], asked) for name in asked.two]
    for pair in pairs:
        print(f"{pair['size']}: two workers {pair['ratio']:.2f} times one")
        if pair["ratio"] < WORKERS_RATIO:
            missed.append(f"{pair['size']}: two workers {pair['ratio']:.2f} times one, not {WORKERS_RATIO}")
    left_out = [system for system in asked.systems if system not in pythons]
    for system in left_out:
        print(f"left out: {system} is not installed (--peers, --litgpt)")
    figures = {"rounds": asked.rounds, "seconds": asked.seconds, "dtype": asked.dtype, "context": CONTEXT}
    print(record.write("train_speed", {**figures, "sizes": rows, "two_workers": pairs, "left_out": left_out}))
    return record.judge(missed, asked.check)


def find_pythons(systems: list[str], peers: str, litgpt: str) -> dict[str, str]:
    """The interpreter of each system that is installed."""
    needs = {"chidu": (sys.executable, "chidu"), "trainer": (peers, "accelerate"), "litgpt": (litgpt, "litgpt")}
    found = {}
    for system in systems:
        python, package = needs[system.split()[0]]
        question = f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)"
        if not subprocess.run([python, "-c", question]).returncode:
            found[system] = python
    return found


class Worker:
    """A process that trains one system at one size when it is asked to."""

    def __init__(self, python: str, system: str, size: str, dtype: str, core: int | None = None) -> None:
        """Start it and wait for its first step."""
        one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        here = [python, __file__, "--worker", system, size, "--dtype", dtype]
        pinned = ["taskset", "-c", str(core)] if core is not None else []
        environment = {**kept_memory(), **os.environ, **one, "HF_HUB_OFFLINE": "1", "STARTED": str(time.time())}
        self.words = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [*pinned, *here],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.words,
            text=True,
            env=environment,
        )
        self.first = float(self.read()["first"])

    def ask(self, seconds: float) -> None:
        """Tell it to train for a while."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()

    def read(self) -> dict[str, float]:
        """Its next answer: the line that is JSON, among what a library prints."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith('{"'):
                return dict(json.loads(line))
        self.words.seek(0)
        sys.exit(self.words.read())

    def turn(self, seconds: float) -> float:
        """Train for a while: steps a second."""
        self.ask(seconds)
        return self.read()["rate"]

    def end(self) -> None:
        """Stop it."""
        self.process.kill()
        self.process.communicate()


def kept_memory() -> dict[str, str]:
    """What chidu's launcher sets for its workers; all systems get it here."""
    from chidu.ladder.launcher import KEPT_MEMORY

    return KEPT_MEMORY


def measure(name: str, pythons: dict[str, str], asked: argparse.Namespace) -> dict[str, Any]:
    """All systems at one size, in turns, and the matrix-product rates between them."""
    size = SIZES[name]
    products = Worker(sys.executable, "products", name, asked.dtype)
    workers = {system: Worker(python, system, name, asked.dtype) for system, python in pythons.items()}
    again = {system: start_again(pythons[system], system, name, asked.dtype) for system in pythons if "chidu" in system}
    rates: dict[str, list[float]] = {system: [] for system in workers}
    limits: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for _ in range(asked.rounds):
        for system, worker in workers.items():
            rates[system].append(worker.turn(asked.seconds) * size.tokens)
        products.ask(asked.seconds / 4)
        answer = products.read()
        for dtype, found in limits.items():
            found.append(answer[dtype])
    for worker in [products, *workers.values()]:
        worker.end()
    best = {dtype: max(found) for dtype, found in limits.items()}
    systems = {}
    for system, found in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(rates["chidu"], found, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        tokens, flops = statistics.median(found), statistics.median(found) * size.flops
        systems[system] = {
            "tokens_per_s": tokens,
            "gflops": flops / 1e9,
            "of_float32": flops / best["float32"],
            "of_bfloat16": flops / best["bfloat16"],
            "chidu_ratio": middle,
            "chidu_ratio_quartiles": [low, high],
            "first_step_s": workers[system].first,
            "second_first_step_s": again.get(system),
            "rounds": found,
        }
        second = f" ({again[system]:.1f})" if system in again else ""
        left = f"{name:>6} {system:<24} {tokens:>9,.0f} {flops / 1e9:>8.1f} {flops / best['float32']:>7.0%}"
        spread = f"{middle:>5.2f} ({low:.2f}-{high:.2f})"
        first = f"{workers[system].first:>6.1f}{second}"
        print(f"{left} {flops / best['bfloat16']:>8.0%} {spread} {first}", flush=True)
    products_gflops = {dtype: rate / 1e9 for dtype, rate in best.items()}
    return {"size": name, "sequences": size.sequences, "product_gflops": products_gflops, "systems": systems}


def start_again(python: str, system: str, size: str, dtype: str) -> float:
    """Seconds to the first step of a second process of the same shape."""
    worker = Worker(python, system, size, dtype)
    worker.end()
    return worker.first


def judge_size(name: str, row: dict[str, Any]) -> list[str]:
    """The bars that a size misses; chidu is taken as it comes."""
    size, systems, missed = SIZES[name], row["systems"], []
    share = systems["chidu"]["of_bfloat16"]
    if share < size.share:
        missed.append(f"{name}: {share:.0%} of the bfloat16 matrix-product rate, not {size.share:.0%}")
    for system, bar in (("trainer llama", size.trainer_ratio), ("litgpt compiled", LITGPT_RATIO)):
        if system in systems and systems[system]["chidu_ratio"] < bar:
            missed.append(f"{name}: {systems[system]['chidu_ratio']:.2f} times {system}, not {bar:g}")
    second = systems["chidu"]["second_first_step_s"]
    if second > SECOND_START:
        missed.append(f"{name}: the first step of a second process after {second:.1f} s, not {SECOND_START:g}")
    return missed


def two_workers(name: str, python: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Steps a second of two workers on two cores beside one alone, in turns."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        return {"size": name, "ratio": float("nan"), "rounds": []}
    pair = [Worker(python, "chidu", name, asked.dtype, core) for core in cores]
    ratios = []
    for number in range(asked.rounds):
        alone = pair[number % 2].turn(asked.seconds)
        for worker in pair:
            worker.ask(asked.seconds)
        ratios.append(sum(worker.read()["rate"] for worker in pair) / alone)
    for worker in pair:
        worker.end()
    return {"size": name, "ratio": statistics.median(ratios), "rounds": ratios}


def serve(system: str, name: str, *, dtype: str) -> int:
    """A worker: the first step, then as many as fit into each turn that stdin asks for."""
    if system == "products":
        return serve_products()
    size = SIZES[name]
    if system.startswith("trainer"):
        return serve_trainer(system, size, dtype)
    step = chidu_step(size, dtype, "compiled" in system) if system.startswith("chidu") else litgpt_step(size, dtype)
    step()
    tell(first=time.time() - float(os.environ["STARTED"]))
    for line in sys.stdin:
        end, count, started = float(line), 0, time.perf_counter()
        while count == 0 or time.perf_counter() - started < end:
            step()
            count += 1
        tell(rate=count / (time.perf_counter() - started))
    return 0


def tell(**values: float) -> None:
    print(json.dumps(values), flush=True)


def chidu_step(size: Size, dtype: str, compiled: bool) -> Step:
    """A step of chidu's loop, with its loader and schedule."""
    import numpy as np
    import torch

    from chidu.config import ModelConfig, TrainConfig
    from chidu.data.loader import Loader
    from chidu.model.transformer import Transformer
    from chidu.training.compiling import compile_blocks
    from chidu.training.optimizer import make_optimizer, set_rate
    from chidu.training.train import Machine, prepare_machine, train_step

    heads = size.width // 64
    shape: dict[str, Any] = {
        "d_model": size.width,
        "n_layer": size.layers,
        "n_head": heads,
        "n_kv_head": heads,
        "d_ff": size.hidden,
    }
    config = TrainConfig(
        model=ModelConfig(vocab_size=size.vocabulary, context=CONTEXT, **shape),
        data="none",
        tokens=size.tokens,
        batch_tokens=size.tokens,
        learning_rate=1e-3,
        hidden_learning_rate=1e-3,
        accumulate=max(1, size.tokens // 2048),
        dtype="float32" if dtype == "float32" else "bfloat16",
    )
    prepare_machine(Machine())
    model = Transformer(config.model)
    optimizer = make_optimizer(model, config)
    if compiled:
        compile_blocks(model)
    set_rate(optimizer, 1.0)
    ids = np.random.default_rng(0).integers(0, size.vocabulary, 200_000).astype(np.uint16)
    loader, number = Loader(ids, CONTEXT, size.sequences), iter(range(10**9))

    def step() -> None:
        loss, _ = train_step(config, model, optimizer, torch.from_numpy(loader.batch(next(number))))
        float(loss)

    return step


def litgpt_step(size: Size, dtype: str) -> Step:
    """What `litgpt.pretrain.fit` does in a step, with its model, compiled, and its loss."""
    import torch
    from lightning import Fabric  # type: ignore[import-not-found]
    from litgpt import GPT, Config  # type: ignore[import-not-found]
    from litgpt.utils import chunked_cross_entropy  # type: ignore[import-not-found]

    torch.set_num_threads(1)
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true" if dtype == "float32" else "bf16-mixed")
    config = Config(
        block_size=CONTEXT,
        padded_vocab_size=size.vocabulary,
        n_layer=size.layers,
        n_embd=size.width,
        n_head=size.width // 64,
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        mlp_class_name="LLaMAMLP",
        intermediate_size=size.hidden,
    )
    model = fabric.setup(torch.compile(GPT(config)))
    optimizer = fabric.setup_optimizers(torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True))
    data = torch.randint(size.vocabulary, (64, size.sequences, CONTEXT + 1), generator=torch.Generator().manual_seed(0))
    batches = iter(range(10**9))

    def step() -> None:
        batch = data[next(batches) % len(data)]
        loss = chunked_cross_entropy(model(batch[:, :-1].contiguous()), batch[:, 1:].contiguous())
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()

    return step


def serve_trainer(system: str, size: Size, dtype: str) -> int:
    """`transformers.Trainer`, which keeps the loop to itself: a callback answers between steps."""
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()

    class Turns(transformers.TrainerCallback):
        """Counts the steps of a turn, and waits for the next."""

        end, count, started = -1.0, 0, 0.0

        def on_step_end(self, *_: Any, **__: Any) -> None:
            """After each step."""
            self.count += 1
            now = time.perf_counter()
            if self.end < 0:
                tell(first=time.time() - float(os.environ["STARTED"]))
            elif now - self.started < self.end:
                return
            else:
                tell(rate=self.count / (now - self.started))
            line = sys.stdin.readline()
            if not line:
                sys.exit()
            self.end, self.count, self.started = float(line), 0, time.perf_counter()

    ids = torch.randint(size.vocabulary, (2048, CONTEXT), generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory(prefix="chidu-trainer-") as folder:
        arguments = transformers.TrainingArguments(
            output_dir=str(Path(folder)),
            per_device_train_batch_size=size.sequences,
            max_steps=10**6,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
            bf16=dtype == "bfloat16",
            torch_compile="compiled" in system,
        )
        data = [{"input_ids": row, "labels": row} for row in ids]
        model = make_theirs(system, size)
        transformers.Trainer(model=model, args=arguments, train_dataset=data, callbacks=[Turns()]).train()
    return 0


def make_theirs(system: str, size: Size) -> Any:
    """GPT-2 or Llama of transformers."""
    import transformers

    heads = size.width // 64
    if "gpt2" in system:
        shape: dict[str, Any] = {"n_embd": size.width, "n_layer": size.layers, "n_head": heads, "n_positions": CONTEXT}
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=size.vocabulary, **shape))
    config = transformers.LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
    )
    return transformers.LlamaForCausalLM(config)


def serve_products() -> int:
    """The best rates of square matrix products, FLOP/s, in both number types."""
    import torch

    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")
    tell(first=0.0)
    for line in sys.stdin:
        found = {}
        for name in ("float32", "bfloat16"):
            best = 0.0
            for side in (512, 1024):
                a, b = (torch.randn(side, side, dtype=getattr(torch, name)) for _ in range(2))
                end = time.perf_counter() + float(line)
                while best == 0.0 or time.perf_counter() < end:
                    started = time.perf_counter()
                    a @ b
                    best = max(best, 2 * side**3 / (time.perf_counter() - started))
            found[name] = best
        tell(**found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
