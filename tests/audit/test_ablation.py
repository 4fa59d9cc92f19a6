import numpy as np
import pytest
import torch

from chidu.audit.ablation import ablate, all_heads, ask
from chidu.model.transformer import next_token_losses

ROWS = np.random.default_rng(0).integers(0, 250, (3, 12))


@torch.no_grad()
def test_the_change_is_the_loss_without_a_head_less_that_with_it(load):
    loaded = load()
    model, tokens = loaded.model, torch.from_numpy(ROWS)
    question = ask(loaded, ROWS)
    assert question is not None
    found = ablate(model, question)
    before = next_token_losses(model(tokens[:, :-1]), tokens[:, 1:]).mean(dim=1)
    assert found.loss == pytest.approx(float(before.mean()), rel=1e-5)
    assert (found.tokens, found.texts, len(found.heads)) == (33, 3, 4)
    model.blocks[1].attention.out.weight[:, 8:16] = 0
    changes = next_token_losses(model(tokens[:, :-1]), tokens[:, 1:]).mean(dim=1) - before
    last = found.heads[-1]
    assert (last.part, last.layer, last.head) == ("own", 1, 1)
    assert last.change == pytest.approx(float(changes.mean()), abs=1e-5)
    assert last.change_se == pytest.approx(float(changes.std() / 3**0.5), abs=1e-5)


def test_an_encoder_is_asked_for_masked_tokens(load):
    loaded = load(kind="encoder")
    question = ask(loaded, ROWS)
    assert question is not None
    assert question.tokens.shape == (24, 12)
    assert question.counted.sum(dim=1).tolist() == [2] * 24
    assert torch.equal(question.tokens == loaded.mask, question.counted)
    assert ablate(loaded.model, question).tokens == 48


def test_every_part_of_an_encoder_decoder_has_its_heads(load):
    loaded = load(kind="encoder_decoder", n_encoder_layer=1)
    heads = all_heads(loaded.model)
    assert len(heads) == len(set(heads)) == 4 + 2 + 4
    question = ask(loaded, ROWS[:1], ROWS[:1, :5])
    assert question is not None
    found = ablate(loaded.model, question)
    assert {head.part for head in found.heads} == {"own", "cross", "encoder"}
    assert all(head.change != 0 and head.change_se is None for head in found.heads)


def test_what_cannot_be_asked(load):
    assert ask(load(), ROWS[:, :1]) is None
