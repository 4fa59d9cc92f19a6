"""Bad input ends with the right exit code and one sentence, and good input with what was asked for."""

import csv
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import chidu.cli
from chidu.errors import ChiduError, TrainingError
from chidu.ladder.plan import Speed

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "docs" / "example_runs.csv"
VERBS = [
    "attend",
    "backtest",
    "check",
    "data",
    "eval",
    "export",
    "fit",
    "forecast",
    "generate",
    "ladder",
    "next",
    "plan",
]
VERBS += ["report", "run", "score", "split", "train", "tune"]
SPEED = Speed(per_step=0.0, per_token=1e-5, per_flop=1e-10, overhead=0.1, workers=2, device="cpu")

Answer = tuple[int, str, str]
Cli = Callable[..., Answer]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run the command line in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> Answer:
        capsys.readouterr()
        code = chidu.cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in sorted(folder.rglob("*"))}


def fails(answer: Answer, code: int, *words: str) -> None:
    """One sentence on stderr that has the words in it; nothing on stdout."""
    got, out, err = answer
    assert got == code, err
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("chidu: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def text(size: int, seed: int = 0) -> str:
    """Made-up sentences, some paragraphs, of about so many bytes."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 7))) for _ in range(300)]
    out, length = [], 0
    while length < size:
        line = " ".join(rng.choices(words, weights=[1 / (i + 1) for i in range(300)], k=12)) + ".\n"
        out.append(line + ("\n" if rng.random() < 0.1 else ""))
        length += len(out[-1])
    return "".join(out)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set, bytes as tokens."""
    from chidu.data.prepare import prepare

    folder = tmp_path_factory.mktemp("data")
    (folder / "text.txt").write_text(text(700_000), encoding="utf-8")
    prepare([str(folder / "text.txt")], folder / "set", vocab_size=257)
    return folder / "set"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan for a machine whose speed is known already."""
    monkeypatch.setattr("chidu.stages.find_device", lambda: "cpu")
    monkeypatch.setattr("chidu.stages.measure_speed", lambda *arguments: SPEED)


def write_table(path: Path, *changes: tuple[int, str, str], rows: int = 16) -> Path:
    """Write the example's first rows with some values changed, (row counted from 1, column, value)."""
    with RUNS.open(encoding="utf-8") as file:
        table = [row for row in csv.DictReader(file) if row["status"] == "done"][:rows]
    for row, column, value in changes:
        table[row - 1][column] = value
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    return path


# ---- the text is at fault


def test_fit_profiles_and_bootstraps_as_asked(cli: Cli) -> None:
    words = ["--profile", "E", "--profile", "loss", "--params", "70B", "--tokens", "1.4e12", "--bootstrap", "wild"]
    code, out, _ = cli("fit", RUNS, *words, "--json")
    value = json.loads(out)
    assert code == 0
    assert value["bootstrap"] == "wild"
    floor, loss = value["profiles"]
    assert floor["name"] == "E"
    assert loss["at"] == {"params": 70e9, "tokens": 1.4e12}
    assert loss["interval"]["lower"] < loss["estimate"] < loss["interval"]["upper"]
    code, out, _ = cli("fit", RUNS, *words)
    assert "profile of E" in out
    assert "bootstrap interval, wild" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profile", "gamma"], "no 'gamma' to profile"),
        (["--profile", "loss"], "give both"),
        (["--bootstrap", "clusters"], "no bootstrap over 'clusters'"),
    ],
)
def test_fit_names_what_it_does_not_know(cli: Cli, words: list[str], said: str) -> None:
    code, out, err = cli("fit", RUNS, *words)
    assert (code, out) == (2, "")
    assert said in err


def test_an_empty_folder(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    fails(cli("data", tmp_path / "nothing", "--out", tmp_path / "out"), 2, "nothing", "holds no file")
    assert not (tmp_path / "out").exists()


def test_a_binary_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "picture.txt").write_bytes(bytes(range(256)) * 200)
    fails(cli("data", tmp_path / "picture.txt", "--out", tmp_path / "out"), 2, "picture.txt", "binary")
    assert [path.name for path in tmp_path.iterdir()] == ["picture.txt"]


def test_invalid_json_names_its_line(cli: Cli, tmp_path: Path) -> None:
    lines = [json.dumps({"text": text(3000, seed)}) for seed in range(20)]
    lines[6] = '{"text": "no end'
    (tmp_path / "text.jsonl").write_text("\n".join(lines), encoding="utf-8")
    fails(cli("data", tmp_path / "text.jsonl", "--out", tmp_path / "out"), 2, "text.jsonl, line 7", "not valid JSON")
    assert [path.name for path in tmp_path.iterdir()] == ["text.jsonl"]


def test_too_little_text(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("A short text.\n", encoding="utf-8")
    fails(cli("run", tmp_path / "short.txt", "--out", tmp_path / "lab"), 2, "bytes of text", "add text")
    assert not (tmp_path / "lab" / "data").exists()


@pytest.mark.usefixtures("measured")
def test_a_corpus_smaller_than_the_plan_needs(cli: Cli, data: Path, tmp_path: Path) -> None:
    answer = cli("plan", "--data", data, "--budget", "2h", "--out", tmp_path / "plan.json")
    fails(answer, 2, "the corpus is smaller than the plan needs", "add text")
    assert files(tmp_path) == {}


@pytest.mark.usefixtures("measured")
def test_a_budget_too_small_for_any_run(cli: Cli, data: Path, tmp_path: Path) -> None:
    answer = cli("plan", "--data", data, "--budget", "1s", "--out", tmp_path / "plan.json")
    fails(answer, 2, "a budget of 1 s is too small", "give --budget")
    assert files(tmp_path) == {}


def test_a_ladder_of_other_data(cli: Cli, data: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("[]", encoding="utf-8")
    fails(cli("ladder", tmp_path / "plan.json", "--data", data, "--out", tmp_path), 2, "is not a plan of chidu")
    fails(cli("ladder", tmp_path / "none.json", "--data", data, "--out", tmp_path), 2, "does not exist")
    assert list(files(tmp_path)) == [str(tmp_path / "plan.json")]


# ---- the table is at fault

TABLES = {
    "negative": ([(3, "loss", "-3.2")], "row 4: loss is -3.2, but it must be positive"),
    "zero": ([(3, "tokens", "0")], "row 4: tokens is 0, but it must be positive"),
    "text": ([(5, "params", "big")], "row 6: params is 'big', which is not a number"),
    "nan": ([(2, "loss", "NaN")], "row 3: loss is NaN, not a finite number"),
    "infinite": ([(2, "tokens", "inf")], "row 3: tokens is inf, not a finite number"),
    "gap": ([(2, "loss", "")], "row 3: loss is empty"),
}


@pytest.mark.parametrize("verb", ["fit", "forecast", "next", "report", "split"])
@pytest.mark.parametrize("name", TABLES)
def test_a_bad_value_names_its_row(cli: Cli, tmp_path: Path, verb: str, name: str) -> None:
    changes, words = TABLES[name]
    table = write_table(tmp_path / "runs.csv", *changes)
    target = ["--flops", "1e20"] if verb in ("forecast", "next") else []
    fails(cli(verb, table, *target), 2, str(table), words)
    assert list(files(tmp_path)) == [str(table)]


def test_a_missing_column(cli: Cli, tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    table.write_text("params,tokens,accuracy\n1e6,2e7,0.4\n", encoding="utf-8")
    fails(cli("fit", table), 2, "lacks the column loss", "--column loss=")


def test_other_files_are_no_table(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "weights.csv").write_bytes(b"\x00\x01\x02\xff" * 99)
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    (tmp_path / "ragged.csv").write_text("params,tokens,loss\n1e6,2e7\n", encoding="utf-8")
    fails(cli("fit", tmp_path / "weights.csv"), 2, "weights.csv is not text")
    fails(cli("fit", tmp_path / "empty.csv"), 2, "empty.csv is empty")
    fails(cli("fit", tmp_path / "ragged.csv"), 2, "ragged.csv, row 2", "2 values under 3 column names")
    fails(cli("fit", tmp_path / "none.csv"), 2, "none.csv does not exist")
    fails(cli("fit", tmp_path), 2, "is a folder")


def test_what_was_assumed_is_said(cli: Cli, tmp_path: Path) -> None:
    table = write_table(tmp_path / "runs.csv")
    text = table.read_text(encoding="utf-8").replace("params,", "params (B),", 1)
    assert "params (B)," in text
    table.write_text(text, encoding="utf-8")
    note = "params is read from 'params (B)' in units of 1e+09"
    assert note in cli("fit", table)[1]
    assert note in json.loads(cli("fit", table, "--json")[1])["notes"]
    assert note in cli("forecast", table, "--flops", "1e20")[1]
    assert note in cli("next", table)[1]
    assert note in cli("report", table)[1].replace("\n", " ")
    assert note in json.loads(cli("next", table, "--json")[1])["notes"]


@pytest.mark.parametrize("verb", ["fit", "report"])
def test_a_folder_of_runs_of_another_tool(cli: Cli, tmp_path: Path, verb: str) -> None:
    with RUNS.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "done"][:16]
    for i, row in enumerate(rows):
        files = tmp_path / "wandb" / f"run-20240101_1000{i:02}-id{i:06}" / "files"
        files.mkdir(parents=True)
        (files / "config.yaml").write_text(f"wandb_version: 1\n\nn_params:\n  value: {row['params']}\n")
        summary = {"val/loss": float(row["loss"]), "tokens": float(row["tokens"])}
        (files / "wandb-summary.json").write_text(json.dumps(summary))
    code, out, err = cli(verb, tmp_path / "wandb", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)
    assert (tmp_path / "report.html").exists() == (verb == "report")


def test_fewer_runs_than_parameters(cli: Cli, tmp_path: Path) -> None:
    table = write_table(tmp_path / "runs.csv", rows=4)
    fails(cli("forecast", table, "--flops", "1e20"), 2, "4 runs, but the law has 5 parameters")


def test_runs_that_cannot_answer_are_refused(cli: Cli, tmp_path: Path) -> None:
    same = write_table(tmp_path / "runs.csv", *[(row, "params", "1e8") for row in range(1, 17)])
    fails(cli("forecast", same, "--params", "1e9", "--tokens", "2e10"), 3, "all runs have params of about 1e+08")


# ---- the line is at fault


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["forecast", RUNS, "--flosp", "1e20"], ["--flosp", "Did you mean --flops"]),
        (["forecats", RUNS], ["forecats", "Did you mean", "forecast"]),
        (["forecast"], ["RUNS"]),
        (["forecast", RUNS], ["nothing to forecast", "--params"]),
        (["forecast", RUNS, "--params", "1e9"], ["give both"]),
        (["forecast", RUNS, "--flops", "much"], ["--flops much", "not a number"]),
        (["forecast", RUNS, "--flops", "-1"], ["positive"]),
        (["forecast", RUNS, "--flops", "1e20", "--level", "2"], ["--level 2", "between 0 and 1"]),
        (["forecast", RUNS, "--flops", "1e20", "--level", "high"], ["--level", "high"]),
        (["forecast", RUNS, "--flops", "1e20", "--of", "both"], ["--of both"]),
        (["forecast", RUNS, "--flops", "1e20", "--form", "line"], ["there is no law 'line'", "chinchilla"]),
        (["forecast", RUNS, "--flops", "1e20", "--hardware", "abacus"], ["there is no hardware 'abacus'", "h100"]),
        (["fit", RUNS, "--column", "params"], ["--column params"]),
        (["fit", RUNS, "--column", "params=N"], ["has no column N"]),
        (["next", RUNS, "--params", "1e9"], ["give both --params and --tokens"]),
        (["next", RUNS, "--criterion", "luck"], ["--criterion luck", "regret"]),
        (["next", RUNS, "--runs", "0"], ["between 1 and 100"]),
        (["next", RUNS, "--runs", "2", "--criterion", "regret"], ["--runs", "interval"]),
        (["next", RUNS, "--candidates", "nowhere.csv"], ["nowhere.csv does not exist"]),
        (["next", RUNS, "--flops", "0"], ["positive"]),
        (["split", RUNS, "--flops", "-1"], ["positive"]),
        (["split", RUNS, "--minimise", "time"], ["--minimise time"]),
        (["split", RUNS, "--unique-tokens", "0"], ["unique_tokens must be a positive number"]),
        (["split", RUNS, "--serve-tokens", "-1"], ["served tokens"]),
        (["split", RUNS, "--hardware", "abacus"], ["there is no hardware 'abacus'"]),
        (["run", "builtin", "--budget", "foo"], ["--budget foo", "write 90s, 10min or 2h"]),
        (["run", "builtin", "--budget", "-5min"], ["--budget"]),
        (["run", "builtin", "--target", "foo"], ["--target foo", "10x"]),
        (["run", "builtin", "--target=-3x"], ["--target -3x"]),
        (["run", "builtin", "--level", "2"], ["--level 2"]),
        (["run"], ["SOURCES"]),
        (["data", "builtin", "--vocab-size", "7"], ["a vocabulary of 7"]),
        (["data", "nowhere.txt"], ["nowhere.txt does not exist"]),
        (["plan", "--data", "nowhere"], ["nowhere holds no data set"]),
        (["check", "coordinates", "--data", "nowhere"], ["nowhere holds no data set"]),
        (["check", "rates", "--widths", "64,16"], ["--widths 64,16", "rising whole numbers"]),
        (["check", "coordinates", "--depths", "two"], ["--depths two", "rising whole numbers"]),
        (["check", "coordinates", "--steps", "0"], ["--steps 0"]),
        (["check", "all"], ["coordinates"]),
        (["report", "nowhere"], ["nowhere"]),
        (["generate", "nowhere", "Once"], ["nowhere does not exist"]),
        (["export", "nowhere"], ["nowhere does not exist"]),
        (["attend", "nowhere", "Once"], ["nowhere does not exist"]),
        (["generate", "nowhere", "Once", "--min-p", "2"], ["--min-p must lie in [0, 1], not 2.0"]),
        (["train", "--data", "nowhere"], ["nowhere holds no data set"]),
    ],
    ids=lambda value: " ".join(str(word) for word in value if word != RUNS),
)
def test_a_wrong_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[object], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fails(cli(*arguments), 2, *words)
    assert files(tmp_path) == {}


# ---- the machine is at fault


@pytest.mark.parametrize("below", ["a file/data", "proc"])
def test_a_folder_that_cannot_be_written(cli: Cli, tmp_path: Path, below: str) -> None:
    (tmp_path / "a file").write_text("x", encoding="utf-8")
    (tmp_path / "text.txt").write_text(text(60_000), encoding="utf-8")
    before = files(tmp_path)
    out = Path("/proc/chidu/data") if below == "proc" else tmp_path / below
    fails(cli("data", tmp_path / "text.txt", "--out", out, "--vocab-size", "257"), 2, str(out.parent))
    targets = tmp_path / "targets.csv"
    targets.write_text("flops\n1e20\n", encoding="utf-8")
    fails(cli("forecast", RUNS, "--targets", targets, "--out", out / "out.csv"), 2, str(out.parent))
    targets.unlink()
    assert files(tmp_path) == before


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from chidu.cli import main
sys.exit(main())
"""


def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(text(100_000), encoding="utf-8")
    before = files(tmp_path)
    line = ["data", str(tmp_path / "text.txt"), "--out", str(tmp_path / "out"), "--vocab-size", "257"]
    done = subprocess.run([sys.executable, "-c", LIMITED, *line], capture_output=True, text=True, timeout=60)
    fails((done.returncode, done.stdout, done.stderr), 2, "file too large")
    assert files(tmp_path) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_an_output_that_takes_no_more() -> None:
    line = [sys.executable, "-c", LIMITED, "fit", str(RUNS), "--json"]
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    fails((done.returncode, "", done.stderr), 2, "no space left")


def save_a_model(folder: Path) -> Path:
    """A run's folder with an untrained model in it; its checkpoint."""
    from chidu.data.tokenizer import Tokenizer
    from chidu.ladder.recipe import Recipe
    from chidu.model.transformer import Transformer
    from chidu.training.checkpoint import save_checkpoint

    config = Recipe().config(16, 1000, 257, "none")
    Tokenizer().save(folder / "tokenizer.json")
    return save_checkpoint(folder, 1, Transformer(config.model), None, config)


def test_texts_are_continued_alone_or_side_by_side(cli: Cli, tmp_path: Path) -> None:
    save_a_model(tmp_path)
    code, out, err = cli("generate", tmp_path, "Once", "--tokens", "5", "--temperature", "1", "--json")
    alone = json.loads(out)
    assert (code, err, alone["prompt"]) == (0, "", "Once")
    code, out, err = cli("generate", tmp_path, "Once", "--tokens", "5", "--temperature", "1")
    assert (code, err, out) == (0, "", f"Once{alone['text']}\n")
    code, out, err = cli(
        "generate", tmp_path, "Once", "A much longer one", "--tokens", "5", "--temperature", "1", "--json"
    )
    assert code == 0
    assert json.loads(out)[0] == alone
    code, out, _ = cli("generate", tmp_path, "Once", "--beams", "3", "--tokens", "4", "--json")
    assert code == 0
    stopped = cli(
        "generate", tmp_path, "Once", "--tokens", "5", "--temperature", "1", "--stop", alone["text"][-1], "--json"
    )
    assert json.loads(stopped[1])["text"] == alone["text"].split(alone["text"][-1])[0]
    fails(
        cli("generate", tmp_path, "Once", "--beams", "3", "--temperature", "1"), 2, "--beams search the likeliest text"
    )
    fails(cli("generate", tmp_path, ""), 2, "the prompt is empty")


def test_a_negative_limit_is_no_number_of_examples(cli: Cli, tmp_path: Path) -> None:
    fails(cli("eval", tmp_path, "continuation", "--ladder", "--limit", "-3"), 2, "--limit -3: give 0 for all")


def test_an_encoder_decoder_reads_and_writes(cli: Cli, tmp_path: Path) -> None:
    from chidu.config import ModelConfig
    from chidu.data.specials import Specials
    from chidu.data.tokenizer import Tokenizer
    from chidu.model.pretrained import save_pretrained
    from chidu.model.transformer import Transformer

    config = ModelConfig(
        kind="encoder_decoder", position="relative", vocab_size=292, d_model=16, n_layer=1, n_head=2, n_kv_head=2,
        d_ff=32, context=32,
    )  # fmt: skip
    save_pretrained(Transformer(config), Tokenizer(), tmp_path, specials=Specials(257, 256))
    how = ["--tokens", "4", "--temperature", "1", "--json"]
    code, out, err = cli("generate", tmp_path, "read this", *how)
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert answer["prompt"] == "read this"
    code, out, err = cli("generate", tmp_path, "read this", "and that too", *how)
    assert (code, err) == (0, "")
    assert json.loads(out)[0] == answer
    code, out, err = cli(
        "attend", tmp_path, "read this", "--target", "das hier", "--out", tmp_path / "page.html", "--json"
    )
    assert (code, err) == (0, "")
    assert [board["part"] for board in json.loads(out)["boards"]] == ["cross", "encoder", "own"]
    encoder = Transformer(ModelConfig(**{**config.to_json(), "kind": "encoder", "position": "rotary"}))
    save_pretrained(encoder, Tokenizer(), tmp_path / "encoder", specials=Specials(257, 256))
    fails(cli("generate", tmp_path / "encoder", "read this"), 2, "an encoder sees both sides of a token")


def test_attention_is_shown_as_a_page_and_as_text(cli: Cli, tmp_path: Path) -> None:
    save_a_model(tmp_path / "run")
    page = tmp_path / "page.html"
    code, out, err = cli("attend", tmp_path / "run", "我爱学习编程", "--words", "我 爱 学习 编程", "--out", page)
    assert (code, err) == (0, "")
    assert "Strongest relations between words" in out
    assert "编程 → 学习: " in out
    assert "layer 1 head 0: " in out
    assert "我爱学习编程" in page.read_text(encoding="utf-8")
    (tmp_path / "more.txt").write_text("some more text " * 99, encoding="utf-8")
    code, out, err = cli(
        "attend", tmp_path / "run", "Once upon", "--out", page, "--on", tmp_path / "more.txt", "--json"
    )
    assert (code, err) == (0, "")
    assert json.loads(out)["ablation"]["texts"] == 16
    fails(cli("attend", tmp_path / "run", "Once", "--on", tmp_path / "none.txt"), 2, "none.txt does not exist")


def test_an_export_says_what_it_became(cli: Cli, tmp_path: Path) -> None:
    save_a_model(tmp_path / "run")
    code, out, err = cli("export", tmp_path / "run", "--out", tmp_path / "hub", "--json")
    assert (code, err, json.loads(out)["architecture"]) == (0, "", "LlamaForCausalLM")
    card = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert "3 layers, width 16, 1 heads, context 32 tokens" in card
    assert (
        cli("generate", tmp_path / "hub", "Once", "--tokens", "3", "--json")[1:]
        == cli("generate", tmp_path / "run", "Once", "--tokens", "3", "--json")[1:]
    )


def test_a_checkpoint_with_flipped_bytes(cli: Cli, tmp_path: Path) -> None:
    folder = save_a_model(tmp_path)
    code, out, err = cli("generate", tmp_path, "Once", "--tokens", "3", "--json")
    assert (code, err, list(json.loads(out))) == (0, "", ["prompt", "text"])
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-100] ^= 0xFF
    (folder / "model.safetensors").write_bytes(weights)
    fails(cli("generate", tmp_path, "Once"), 2, "model.safetensors is damaged", "delete")
    fails(cli("export", tmp_path, "--out", tmp_path / "out"), 2, "model.safetensors is damaged")
    assert not (tmp_path / "out").exists()


def test_a_fault_of_chidu_is_named_as_one(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("chidu.laws.fit.fit", explode)
    fails(cli("fit", RUNS), 1, "a fault of chidu itself", "ZeroDivisionError")


@pytest.mark.parametrize(("error", "code"), [(TrainingError("the worker died"), 1), (KeyboardInterrupt(), 130)])
def test_other_ends(cli: Cli, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("chidu.laws.fit.fit", stop)
    fails(cli("fit", RUNS), code, str(error) if isinstance(error, ChiduError) else "stopped")


# ---- what good input gets


def test_help_lists_every_verb(cli: Cli) -> None:
    code, out, err = cli("--help")
    assert (code, err) == (0, "")
    assert [line.split()[1] for line in out.splitlines() if line.startswith("│ ") and line[2].islower()] == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example(cli: Cli, verb: str) -> None:
    code, out, _ = cli(verb, "--help")
    assert code == 0
    assert f"Example: chidu {verb} " in out


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["fit", RUNS], {"form", "parameters", "intervals", "noise", "set_aside", "warnings", "signature"}),
        (["forecast", RUNS, "--params", "1e9", "--tokens", "20B"], {"median", "interval", "of", "cost", "distance"}),
        (["forecast", RUNS, "--flops", "1e20", "--of", "law"], {"median", "interval", "of", "warnings"}),
        (["next", RUNS, "--params", "1e9", "--tokens", "2e10"], {"params", "tokens", "cost", "reason", "runners_up"}),
        (["next", RUNS, "--flops", "1e21", "--criterion", "regret"], {"params", "tokens", "reason", "runners_up"}),
        (["next", RUNS, "--runs", "3"], {"runs", "cost", "interval_before", "interval_after", "narrowing"}),
        (["next", RUNS, "--score", RUNS], {"runs", "cost", "interval_before", "interval_after", "width"}),
        (["split", RUNS], {"optimal", "cost", "approaches", "served", "limited", "notes"}),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, list) else "",
)
def test_json_and_nothing_else(cli: Cli, arguments: list[object], keys: set[str]) -> None:
    code, out, err = cli(*arguments, "--json")
    assert (code, err) == (0, "")
    assert keys <= set(json.loads(out))


def test_a_report_of_a_table(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("report", RUNS, "--out", tmp_path / "report.html", "--json")
    assert (code, err) == (0, "")
    assert isinstance(json.loads(out), dict)
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
    code, out, _ = cli("report", RUNS, "--out", tmp_path / "report.html")
    assert code == 0
    assert str(tmp_path / "report.html") in out


def test_a_split_answers_what_was_asked(cli: Cli) -> None:
    line = ["split", RUNS, "--flops", "1e21", "--serve-tokens", "1T", "--unique-tokens", "10B", "--hardware", "a100"]
    code, out, err = cli(*line)
    assert (code, err) == (0, "")
    for words in ("compute-optimal, 1e+21 FLOPs", "within 0.1%", "2 isoFLOP parabolas", "saved", "passes", "A100"):
        assert words in out


def test_candidates_come_from_a_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text("params,tokens\n2e8,4B\n3e8,6B\n", encoding="utf-8")
    code, out, err = cli("next", RUNS, "--flops", "1e21", "--candidates", tmp_path / "runs.csv", "--json")
    assert (code, err) == (0, "")
    value = json.loads(out)
    assert (value["params"], value["tokens"]) in ((2e8, 4e9), (3e8, 6e9))


def test_answers_to_targets_keep_their_columns(cli: Cli, tmp_path: Path) -> None:
    targets, out = tmp_path / "targets.csv", tmp_path / "out.csv"
    targets.write_text("name,params,tokens,lower\nsmall,1e9,2e10,x\nlarge,2e9,40B,y\n", encoding="utf-8")
    code, said, err = cli("forecast", RUNS, "--targets", targets, "--out", out, "--level", "0.8")
    assert (code, err) == (0, "")
    assert str(out) in said
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["name", "params", "tokens", "median", "lower", "upper"]
    assert [(row["name"], row["tokens"]) for row in rows] == [("small", "2e10"), ("large", "40B")]
    for row in rows:
        assert float(row["lower"]) < float(row["median"]) < float(row["upper"])
    assert float(rows[1]["median"]) < float(rows[0]["median"])


def test_the_seed_decides_the_answer(cli: Cli) -> None:
    def median(seed: int) -> Any:
        return json.loads(cli("forecast", RUNS, "--flops", "1e20", "--seed", seed, "--json")[1])["median"]

    assert median(1) == median(1)
    assert median(1) != median(2)


@pytest.mark.usefixtures("measured")
def test_a_plan_is_made_once_for_the_budget_that_was_advised(cli: Cli, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    advised = cli("plan", "--data", data, "--budget", "1s", "--out", out)[2].split("--budget ")[1].split()[0]
    code, said, err = cli("plan", "--data", data, "--budget", advised, "--out", out, "--json")
    assert (code, err) == (0, "")
    plan = json.loads(said)
    assert json.loads(out.read_text(encoding="utf-8")) == plan
    assert plan["seconds"] <= plan["budget_seconds"] == float(advised.removesuffix("s"))
    before = files(tmp_path)
    assert cli("plan", "--data", data, "--budget", advised, "--out", out)[0] == 0
    assert files(tmp_path) == before
    fails(cli("plan", "--data", data, "--budget", "1h", "--out", out), 2, "was made for", "delete it")


def test_a_package_that_the_light_install_leaves_out_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def miss(*arguments: object, **options: object) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("chidu.stages.train_stage", miss)
    assert chidu.cli.main(["train"]) == 2
    assert capsys.readouterr().err == (
        "chidu: this needs torch, which the light install leaves out: pip install 'chidu[train]'\n"
    )
