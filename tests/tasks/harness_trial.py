"""Run in a process of its own: the harness on one model through chidu and through its own backend for transformers.

`python harness_trial.py FOLDER` writes `FOLDER/found.json`. The harness takes seconds to load and warns of itself.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from chidu.config import ModelConfig
from chidu.data.tokenizer import Tokenizer
from chidu.model.pretrained import load_pretrained, save_pretrained
from chidu.model.transformer import Transformer

TEXTS = ["The cat sat on the mat.", "Nobody knows, why it rains so often here; it just does. " * 4, "x = [1, 2, 3]\n"]
CHOICES = [
    {"question": "The cat sat", "choices": ["on the mat", "under a", "of"], "answer": 0},
    {"question": "It rains so often " * 9, "choices": ["here", "and then the rest of it"], "answer": 1},
    {"question": "", "choices": ["a beginning", "the end"], "answer": 1},
    {"question": "A space at the end ", "choices": ["stays", "goes"], "answer": 0},
]
COMMON = "dataset_path: json\ntest_split: test\n"
TASKS = {
    "own_choice": """output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: answer
metric_list:
  - metric: acc
  - metric: acc_norm
metadata:
  version: 3.0
""",
    "own_rolling": """output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - metric: bits_per_byte
  - metric: word_perplexity
""",
    "own_writing": """output_type: generate_until
doc_to_text: "{{text}}"
doc_to_target: "a"
generation_kwargs:
  until: ["\\n", "e"]
  max_gen_toks: 8
metric_list:
  - metric: exact_match
""",
}


def write_tasks(folder: Path) -> None:
    """Task files with their local data."""
    folder.mkdir()
    for name, body in TASKS.items():
        rows = CHOICES if name == "own_choice" else [{"text": text} for text in TEXTS]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        data = f"dataset_kwargs:\n  data_files:\n    test: {folder / f'{name}.jsonl'}\n"
        (folder / f"{name}.yaml").write_text(f"task: {name}\n{COMMON}{data}{body}", encoding="utf-8")


def make_own(out: Path) -> None:
    """Export a small decoder of ours, its weights all drawn."""
    tokenizer = Tokenizer.train(TEXTS * 3, 300)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, d_model=32, n_layer=2, n_head=2, n_kv_head=2, d_ff=64, context=64
    )
    model = Transformer(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    save_pretrained(model, tokenizer, out)


def make_llama(out: Path) -> None:
    """A Llama of transformers, whose tokenizer puts a beginning before each text."""
    import tokenizers
    import transformers

    learner = tokenizers.Tokenizer(tokenizers.models.BPE(byte_fallback=False))
    learner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner.train_from_iterator(TEXTS * 3, trainer)
    learner.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=learner, bos_token="<s>", eos_token="</s>")
    fast.save_pretrained(out)
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(out)


def answers(found: Any) -> dict[str, Any]:
    """What the model answered to each request of each task, and the metrics."""
    rows = {
        task: [[list(map(str, sample["arguments"])), sample["resps"]] for sample in samples]
        for task, samples in found["samples"].items()
    }
    plain = {
        task: {key: value for key, value in values.items() if isinstance(value, int | float)}
        for task, values in found["results"].items()
    }
    return {"rows": rows, "results": plain}


def main(folder: Path) -> None:
    """Write `found.json`."""
    import lm_eval.evaluator
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from chidu.tasks.harness import examine_harness
    from chidu.tasks.harness_model import HarnessModel
    from chidu.tasks.tuned import Tuned

    torch.set_num_threads(1)
    write_tasks(folder / "tasks")
    make_own(folder / "own")
    make_llama(folder / "llama")
    found: dict[str, Any] = {}
    for name in ("own", "llama"):
        loaded = load_pretrained(folder / name)
        assert loaded.tokenizer is not None
        ours = HarnessModel(Tuned(loaded.model, loaded.tokenizer))
        theirs = HFLM(pretrained=str(folder / name), device="cpu", dtype="float32", batch_size=2)
        for who, model in (("ours", ours), ("theirs", theirs)):
            tasks = TaskManager(include_path=str(folder / "tasks"), include_defaults=False).load(list(TASKS))
            done = lm_eval.evaluator.evaluate(model, tasks, bootstrap_iters=0, log_samples=True)
            found[f"{name} {who}"] = answers(done)
    result = examine_harness(str(folder / "own"), list(TASKS), include=folder / "tasks", level=0.9)
    found["result"], found["text"] = result.to_json(), str(result)
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
