"""The page: its weights are the model's own, and it works in a browser."""

import base64
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from chidu.audit.attention import gather
from chidu.audit.look import look, rows_of
from chidu.audit.page import to_html, write_page
from chidu.errors import InputError
from chidu.model.attention import attention_weights
from chidu.model.masks import causal_mask
from chidu.model.positions import rotate
from chidu.model.transformer import Transformer

TEXT = "我爱学习 the thread"


def boards_of(page: str) -> list[dict]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found.group(1))


def weights_of(board: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(board["weights"]), dtype="<f4").reshape(board["shape"])


@torch.no_grad()
def reference(model: Transformer, ids: tuple[int, ...]) -> np.ndarray:
    """The weights of a rotary decoder, layer by layer, from its projections and the formula alone."""
    x, found = model.embedding(torch.tensor([ids])), []
    length, heads, channels = len(ids), model.config.n_head, model.config.head_dim
    mask = causal_mask(length, length, torch.device("cpu"))
    for block in model.blocks:
        parts = block.attention.qkv(block.attention_norm(x)).chunk(3, dim=-1)
        q, k, v = (part.view(1, length, heads, channels).transpose(1, 2) for part in parts)
        q, k = (rotate(part, model.cos_TK[:length], model.sin_TK[:length]) for part in (q, k))
        weights = attention_weights(q, k, mask)
        found.append(weights[0])
        x = x + block.attention.out((weights @ v).transpose(1, 2).reshape(1, length, -1))
        x = x + block.feed_forward(block.feed_forward_norm(x))
    return torch.stack(found).numpy()


def test_the_weights_on_the_page_are_the_reference_attention(load):
    loaded = load()
    (board,) = boards_of(to_html(look(loaded, TEXT, orders=3)))
    (gathered,) = gather(loaded, TEXT)
    np.testing.assert_allclose(weights_of(board), reference(loaded.model, gathered.queries.ids), atol=1e-6)
    assert [word["text"] for word in board["asking"]["words"]][-2:] == ["the", "thread"]


def test_an_encoder_decoder_has_three_boards(load):
    loaded = load(kind="encoder_decoder", position="relative")
    study = look(loaded, TEXT, target="lernen macht", orders=3)
    cross, encoder, own = boards_of(to_html(study))
    assert (cross["part"], encoder["part"], own["part"]) == ("cross", "encoder", "own")
    assert cross["shape"][2:] == [own["shape"][2], encoder["shape"][3]]
    np.testing.assert_allclose(weights_of(cross).sum(axis=-1), 1, atol=1e-5)
    assert study.related == "encoder"
    assert {"own", "cross", "encoder"} == {head["part"] for head in study.to_json()["ablation"]["heads"]}


@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_the_text_has_a_line_for_every_head(load, kind: str):
    study = look(load(kind=kind), TEXT, orders=3, model="made up")
    said = str(study)
    for layer in range(2):
        for head in range(2):
            assert f"layer {layer} head {head}: " in said
    assert "times chance" in said
    assert "nats per token over" in said
    assert study.to_json()["relations"][0]["lift"] > 1


def test_the_loss_of_another_text(load):
    loaded = load()
    rows = rows_of(loaded, "a longer text for the loss without each head, " * 12)
    assert rows.shape[1] == 49
    study = look(loaded, TEXT, rows=rows, rows_said="a file", orders=3)
    assert study.ablation is not None
    assert study.ablation.texts == len(rows) > 1
    assert "of a file" in study.ablation_lead()
    with pytest.raises(InputError, match="fewer than three tokens"):
        rows_of(loaded, "a")


def test_texts_that_cannot_be_shown(load):
    with pytest.raises(InputError, match="the text is empty"):
        look(load(), "")
    with pytest.raises(InputError, match="the text has 61 tokens, but the model's context is 48"):
        look(load(), "x" * 60)
    assert look(load(), "x").relations == ()


def test_nothing_in_a_text_is_taken_for_markup(load):
    page = to_html(look(load(), "</script><b>x</b>", orders=1))
    assert "<b>x" not in page
    assert page.count("</script>") == 2


def test_it_works_in_a_browser(load, tmp_path: Path):
    browser_path = shutil.which("chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    if browser_path is None:
        pytest.skip("chromium is not installed")
    study = look(load(), TEXT, orders=3)
    write_page(study, tmp_path / "page.html")
    mean, words = study.boards[0].mean(), [word.text for word in study.boards[0].queries.words]
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page, faults = browser.new_page(viewport={"width": 1200, "height": 900}), []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url) if not request.url.startswith("file:") else None)
        page.goto((tmp_path / "page.html").as_uri())
        place = page.evaluate("({ left: layout.left, top: layout.top, cell: layout.cell })")
        last = len(words) - 1
        page.hover("#map", position={
            "x": place["left"] + 1.5 * place["cell"], "y": place["top"] + (last + 0.5) * place["cell"]
        })  # fmt: skip
        assert page.text_content("#reading") == f"{words[last]} → {words[1]}: {mean[last, 1]:.4f}"
        page.click('#heads button[data-view="1.0"]')
        shown = page.evaluate("Array.from(layout.values)")
        np.testing.assert_allclose(shown, study.boards[0].words()[1, 0].flatten(), atol=1e-6)
        page.uncheck("#merge")
        shown = page.evaluate("Array.from(layout.values)")
        np.testing.assert_allclose(shown, study.boards[0].weights[1, 0].flatten(), atol=1e-6)
        page.select_option("#view", "rolled")
        page.check("#merge")
        rolled = study.boards[0].rolled()
        assert rolled is not None
        np.testing.assert_allclose(page.evaluate("Array.from(layout.values)"), rolled.flatten(), atol=1e-6)
        browser.close()
    assert faults == []
