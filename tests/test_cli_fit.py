"""`chidu fit` of what is no law of the loss over size: it prints a result, or says in one sentence what is missing."""

import json
from pathlib import Path

import numpy as np
import pytest

from chidu.cli import main


def write(path: Path, header: str, rows: list[tuple[object, ...]]) -> str:
    path.write_text("\n".join([header, *[",".join(map(str, row)) for row in rows]]) + "\n", encoding="utf-8")
    return str(path)


def fit(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["fit", *words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_best_rate_is_fitted_to_sweeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[tuple[object, ...]] = []
    for params, ratio in ((1e7, 20), (1e7, 80), (4e7, 20), (4e7, 80), (2e8, 40)):
        tokens = params * ratio
        best = 1.79 * params**-0.713 * tokens**0.307
        for rate in np.geomspace(best / 6, best * 6, 13):
            rows.append((params, tokens, rate, 3 + 0.01 * np.log2(rate / best) ** 2))
    path = write(tmp_path / "sweeps.csv", "params,tokens,lr,loss", rows)
    code, out, _ = fit(capsys, path, "--form", "optimum", "--json")
    assert code == 0
    assert json.loads(out)["parameters"]["rate_params"] == pytest.approx(-0.713, abs=0.05)


def test_a_metric_is_fitted_to_the_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loss = np.linspace(2, 4, 20)
    rows = [(10 ** (20 - v), v, 0.25 + 0.6 / (1 + np.exp(3 * (v - 2.8)))) for v in loss]
    path = write(tmp_path / "runs.csv", "flops,loss,acc", rows)
    code, out, _ = fit(capsys, path, "--metric", "acc", "--json")
    assert code == 0
    assert json.loads(out)["parameters"]["L_mid"] == pytest.approx(2.8, abs=0.02)
    assert fit(capsys, path, "--form", "metric")[0] == 2
    assert "goes with --form metric" in fit(capsys, path, "--form", "tied", "--metric", "acc")[2]


def test_curves_need_no_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[tuple[object, ...]] = []
    for step in range(20, 600, 20):
        for name, rate in (("flat", 1e-3), ("down", 1e-3 * (1 - step / 700))):
            rows.append((name, step, rate, 2.5 + 0.5 * (step * 1e-3) ** -0.4 - 100 * (1e-3 - rate) * 0.8))
    path = write(tmp_path / "curves.csv", "run,step,lr,loss", rows)
    code, out, _ = fit(capsys, path, "--form", "curve")
    assert code == 0
    assert "multi-power law of 2 curves" in out


def test_a_column_that_a_form_reads_is_named_where_it_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[tuple[object, ...]] = [(1e7 * 2**i, 2e8 * 3**i, 4 - i / 10) for i in range(9)]
    path = write(tmp_path / "runs.csv", "params,tokens,loss", rows)
    for form, column in (("repetition", "unique_tokens"), ("moe", "active_params"), ("shape", "d_model")):
        code, _, err = fit(capsys, path, "--form", form)
        assert code == 2
        assert f"needs a column {column}" in err
    assert "learning_rate" in fit(capsys, path, "--form", "optimum")[2]
    assert "step" in fit(capsys, path, "--form", "curve")[2]
