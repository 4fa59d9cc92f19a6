from pathlib import Path

from chidu.card import model_card
from chidu.config import ModelConfig, TrainConfig
from chidu.runs import Run
from chidu.store import write_json

MODEL = ModelConfig(vocab_size=300, d_model=16, n_layer=2, n_head=2, n_kv_head=2, d_ff=32, context=16)
CONFIG = TrainConfig(
    model=MODEL, data="abc", tokens=6400, batch_tokens=64, learning_rate=0.01, hidden_learning_rate=0.002
)


def test_a_card_says_what_the_lab_knows(tmp_path: Path) -> None:
    run = tmp_path / "lab" / "runs" / CONFIG.id
    write_json(run / "config.json", CONFIG.to_json())
    write_json(
        run / "run.json", Run(run=CONFIG.id, loss=3.25, loss_se=0.01, bits_per_byte=1.5, unseen_loss=3.5).to_json()
    )
    write_json(
        tmp_path / "lab" / "data" / "datasheet.json",
        {"id": "abc", "sources": [{"source": "x"}], "versions": {"a": "1"}},
    )
    write_json(tmp_path / "lab" / "forecast.json", {"median": 2.875, "interval": {"lower": 2.5, "upper": 3.25}})
    write_json(tmp_path / "lab" / "scores.json", {"bleu": {"score": 31.4, "count": 1000}})
    for source in (run, run / "checkpoint-100"):
        card = model_card(source, MODEL)
        for line in (
            "- params: 10,000 in all, 5,200 without embedding, positions and head",
            "- 6,400 tokens in 100 steps of 64",
            f"- run {CONFIG.id} on data set abc, seed 0",
            "- passages of the training sources: 3.2500 ± 0.0100 nats per token, 1.500 bits per byte",
            "- whole unseen documents: 3.5000 nats per token",
            "## Data sheet\n\n- id: abc\n- sources: 1 entries\n- versions:\n  - a: 1",
            "## Forecast\n\n- median: 2.875\n- interval:\n  - lower: 2.5\n  - upper: 3.25",
            "## Scores\n\n- bleu:\n  - score: 31.4\n  - count: 1000",
        ):
            assert line in card
        assert "## Law" not in card


def test_a_card_of_a_model_from_elsewhere_says_what_it_is(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"model_type": "llama"})
    card = model_card(tmp_path, MODEL)
    assert "a decoder: it tells the next token" in card
    assert "## Training" not in card
