"""Greedy generation with the KV cache, per token, beside `transformers.generate` on the same exported model.

The two take turns on the same prompts and the same number of threads; the ratio is the median of those of the rounds,
so that other work on the machine hits both alike. On one thread it is that of CPU seconds, which are what the clock
shows on a quiet machine; on several, of the clock's. Bars: no ratio is above 1; our tokens are those of our own passes
without a cache; and both sides write the same text.

    python benchmarks/generation_speed.py [--rounds 7] [--threads 1] [--tokens 64] [--check]
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import record

Ids = list[list[int]]
VOCABULARY = 4096
CASES: dict[str, dict[str, Any]] = {
    "decoder d64 4 layers": {"d_model": 64, "n_layer": 4, "n_head": 4, "n_kv_head": 4, "d_ff": 176},
    "decoder d256 6 layers": {"d_model": 256, "n_layer": 6, "n_head": 8, "n_kv_head": 8, "d_ff": 688},
    "decoder d512 8 layers, grouped keys": {"d_model": 512, "n_layer": 8, "n_head": 8, "n_kv_head": 2, "d_ff": 1376},
    "encoder-decoder d256 3+3 layers": {
        "kind": "encoder_decoder",
        "position": "relative",
        "d_model": 256,
        "n_layer": 3,
        "n_head": 8,
        "n_kv_head": 8,
        "d_ff": 688,
    },
}
BATCHES = (1, 8)


def main() -> int:
    """Measure each case, print, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    torch.set_num_threads(asked.threads)
    print(f"{'model':<36} {'texts':>5} {'ours ms/token':>14} {'transformers':>13} {'ratio':>6}  same text")
    rows, missed = [], []
    for name, sizes in CASES.items():
        for batch in BATCHES:
            row = measure(name, sizes, batch, asked.tokens, asked.rounds, asked.threads)
            rows.append(row)
            print(
                f"{name:<36} {batch:>5} {row['ours_ms']:>14.3f} {row['transformers_ms']:>13.3f} {row['ratio']:>6.2f}  "
                f"{'yes' if row['same_text'] else 'NO'}"
            )
            case = f"{name}, {batch} texts"
            if row["ratio"] > 1:
                missed.append(f"{case}: {row['ratio']:.2f} times the time of transformers")
            if not row["same_as_uncached"]:
                missed.append(f"{case}: the cache changes the text")
            if not row["same_text"]:
                missed.append(f"{case}: transformers writes another text")
    figures = {"tokens": asked.tokens, "rounds": asked.rounds, "threads": asked.threads, "cases": rows}
    print(record.write("generation_speed", figures))
    return record.judge(missed, asked.check)


def measure(name: str, sizes: dict[str, Any], batch: int, tokens: int, rounds: int, threads: int) -> dict[str, Any]:
    """Take turns and compare."""
    from chidu.model.generation import generate_batch
    from chidu.model.pretrained import save_pretrained

    model = make_model(sizes)
    both = model.config.kind == "encoder_decoder"
    texts = draw_prompts(batch)
    prompts, sources = ([[0]] * batch, texts) if both else (texts, None)
    with tempfile.TemporaryDirectory(prefix="chidu-speed-") as folder:
        save_pretrained(model, None, Path(folder) / "hub")
        theirs = load_theirs(Path(folder) / "hub", both)
    sides: dict[str, Callable[[], Ids]] = {
        "ours": lambda: generate_batch(model, prompts, tokens=tokens, sources=sources),
        "transformers": lambda: generate_theirs(theirs, texts, tokens, both),
    }
    answers = {side: run() for side, run in sides.items()}
    clocks = {"wall": time.perf_counter, "cpu": time.process_time}
    seconds: dict[str, dict[str, list[float]]] = {clock: {side: [] for side in sides} for clock in clocks}
    for _ in range(rounds):
        for side, run in sides.items():
            started = {clock: read() for clock, read in clocks.items()}
            run()
            for clock, read in clocks.items():
                seconds[clock][side].append(read() - started[clock])
    judged = seconds["cpu" if threads == 1 else "wall"]
    ours, other = (1000 * statistics.median(judged[side]) / tokens for side in sides)
    ratio = statistics.median(a / b for a, b in zip(judged["ours"], judged["transformers"], strict=True))
    uncached = generate_batch(model, prompts, tokens=tokens, sources=sources, cached=False)
    return {
        "model": name,
        "texts": batch,
        "ours_ms": ours,
        "transformers_ms": other,
        "ratio": ratio,
        "same_as_uncached": answers["ours"] == uncached,
        "same_text": answers["ours"] == answers["transformers"],
        "seconds": seconds,
    }


def make_model(sizes: dict[str, Any]) -> Any:
    """A model with random weights everywhere, so that its text is no single token."""
    import torch

    from chidu.config import ModelConfig
    from chidu.model.transformer import Transformer

    model = Transformer(ModelConfig(vocab_size=VOCABULARY, context=512, **sizes)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, weight.shape[1] ** -0.5, generator=generator)
    return model


def draw_prompts(batch: int) -> Ids:
    """Texts of unequal length, from 16 tokens on."""
    import numpy as np

    generator = np.random.default_rng(0)
    return [generator.integers(1, VOCABULARY, 16 + 5 * row).tolist() for row in range(batch)]


def load_theirs(folder: Path, both: bool) -> Any:
    """The exported model in transformers."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    door = transformers.AutoModelForSeq2SeqLM if both else transformers.AutoModelForCausalLM
    return door.from_pretrained(folder).eval()


def generate_theirs(model: Any, texts: Ids, tokens: int, both: bool) -> Ids:
    """The new tokens of `transformers.generate`: greedy, cached, exactly so many of them."""
    import torch

    width = max(map(len, texts))
    rows = [text + [0] * (width - len(text)) if both else [0] * (width - len(text)) + text for text in texts]
    masks = [[1] * len(text) + [0] * (width - len(text)) for text in texts]
    with torch.inference_mode():
        out = model.generate(
            input_ids=torch.tensor(rows),
            attention_mask=torch.tensor(masks if both else [mask[::-1] for mask in masks]),
            max_new_tokens=tokens,
            do_sample=False,
            use_cache=True,
            eos_token_id=None,
            pad_token_id=0,
            **({"decoder_start_token_id": 0} if both else {}),
        )
    return out[:, -tokens:].tolist()


if __name__ == "__main__":
    sys.exit(main())
