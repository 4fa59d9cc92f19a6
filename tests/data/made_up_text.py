"""A small corpus of made-up sentences, English and Chinese, the same in every run."""

import json
import random
from pathlib import Path

NOUNS = ("river", "engine", "forecast", "market", "window", "teacher", "island", "letter", "garden", "theory")
VERBS = ("follows", "measures", "repeats", "crosses", "ignores", "describes", "holds")
CHINESE = ("模型", "训练", "数据", "损失", "参数", "规律", "预测", "语言", "，", "。")


def sentence(rng: random.Random) -> str:
    """One sentence; one in eight is Chinese."""
    if rng.random() < 1 / 8:
        return "".join(rng.choices(CHINESE, k=14)) + "。"
    return f"The {rng.choice(NOUNS)} {rng.choice(VERBS)} the {rng.choice(NOUNS)} {rng.randrange(1000)} times."


def documents(count: int, seed: int = 0) -> list[str]:
    """Documents of about 1 kB, all different."""
    rng = random.Random(seed)
    return ["\n".join(sentence(rng) for _ in range(25)) for _ in range(count)]


def write_jsonl(path: Path, texts: list[str]) -> Path:
    """Write one record a document."""
    path.write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts)))
    return path
