import itertools
import math

import numpy as np
import pytest
import torch

from chidu.audit.attention import gather
from chidu.audit.relations import count_orders, draw_orders, relate


def test_orders_are_all_the_others_where_they_are_few():
    assert sorted(draw_orders(3, 0, 199)) == sorted(set(itertools.permutations(range(3))) - {(0, 1, 2)})
    assert len(list(draw_orders(4, 0, 5))) == 23 == count_orders(4, 5)
    drawn = list(draw_orders(9, 1, 50))
    assert len(drawn) == 50 == count_orders(9, 50)
    assert drawn == list(draw_orders(9, 1, 50)) != list(draw_orders(9, 2, 50))
    assert all(sorted(order) == list(range(9)) for order in drawn)
    assert count_orders(6) == 199


@pytest.mark.parametrize("kind", ["decoder", "encoder", "encoder_decoder"])
def test_relations_hold_the_weights_and_what_chance_gives(load, kind: str):
    loaded = load(kind=kind)
    boards = gather(loaded, "one two three four", "fünf sechs" if kind == "encoder_decoder" else "")
    board = next(board for board in boards if board.part != "cross")
    relations = relate(loaded.model, board)
    words = [word.text for word in board.queries.words]
    assert len(relations) == (6 if kind == "decoder" else 12)
    mean = board.words().mean(axis=(0, 1))
    for relation in relations:
        i, j = relation.places
        assert (relation.asking, relation.looked_at) == (words[i], words[j])
        assert relation.weight == pytest.approx(mean[i, j])
        size = len(board.queries.words[j].tokens)
        if kind == "decoder":
            first = board.queries.words[i].tokens[0]
            seen = [first + k + 1 for k in range(len(board.queries.words[i].tokens))]
            assert relation.chance == pytest.approx(np.mean([size / count for count in seen]))
        else:
            assert relation.chance == pytest.approx(size / len(board.keys.ids))
        assert 1 / 24 <= relation.p <= 1
    assert [r.lift for r in relations] == sorted((r.lift for r in relations), reverse=True)


@torch.no_grad()
def test_a_model_that_looks_everywhere_alike_relates_nothing(load):
    loaded = load(position="learned")
    for block in loaded.model.blocks:
        block.attention.qkv.weight.zero_()
    (board,) = gather(loaded, "one two three four")
    for relation in relate(loaded.model, board):
        assert relation.weight == pytest.approx(relation.chance, abs=1e-6)
        assert relation.p > 0.05


@torch.no_grad()
def test_words_that_look_for_each_other_are_found(load):
    """A head whose scores are large where a b looks at an a, wherever they stand."""
    loaded = load(n_layer=1, n_head=1, n_kv_head=1, position="learned", d_model=8)
    model = loaded.model
    model.embedding.weight.zero_()
    model.embedding.weight[:, 2] = 9.0
    model.embedding.weight[ord("a")] = torch.tensor([9.0, 0, 0, 0, 0, 0, 0, 0])
    model.embedding.weight[ord("b")] = torch.tensor([0, 9.0, 0, 0, 0, 0, 0, 0])
    model.position.zero_()
    attention = model.blocks[0].attention
    attention.qkv.weight.zero_()
    attention.qkv.weight[0, 1] = 9.0  # queries of b
    attention.qkv.weight[8, 0] = 9.0  # keys of a
    model.blocks[0].attention_norm.weight.fill_(1)
    (board,) = gather(loaded, "c.a.d.b.e")
    best = relate(model, board)[0]
    assert (best.asking, best.looked_at) == ("b", "a")
    assert best.weight > 0.95
    assert best.p <= 0.05
    assert best.expected < 0.5


def test_one_word_has_no_relations(load):
    loaded = load()
    (board,) = gather(loaded, "one")
    assert relate(loaded.model, board) == []
    (board,) = gather(loaded, "one two")
    (relation,) = relate(loaded.model, board)
    assert math.isnan(relation.p)
    assert relation.to_json()["p"] is None
