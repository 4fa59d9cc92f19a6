import numpy as np
import pytest

from chidu.config import ModelConfig
from chidu.data.tokenizer import Tokenizer
from chidu.model.transformer import Transformer
from chidu.tasks.baselines.adaptive import DISCOUNT, adaptive_log_probabilities
from chidu.tasks.example import Example
from chidu.tasks.mixing import fit_mixture, likeliest_weights, listen
from chidu.tasks.predicting import text_nats, token_nats
from chidu.tasks.tuned import Tuned


@pytest.fixture(scope="module")
def tuned() -> Tuned:
    tokenizer = Tokenizer()
    sizes = {"d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 2, "d_ff": 32, "context": 32}
    return Tuned(Transformer(ModelConfig(vocab_size=tokenizer.vocab_size, **sizes)), tokenizer, None)


def texts(count: int, word: str = "spam") -> list[Example]:
    return [Example(source=f"{word} {i} and eggs. " * 8) for i in range(count)]


def test_adaptive_probabilities_sum_to_one_and_follow_the_text() -> None:
    before, vocabulary = [3, 1, 4, 1, 3, 1], 6
    each = [adaptive_log_probabilities([*before, token], vocabulary)[0][-1] for token in range(vocabulary)]
    assert np.exp(each).sum() == pytest.approx(1)
    assert int(np.argmax(each)) == 4  # after 3, 1
    logs, reached = adaptive_log_probabilities([2, 2], vocabulary)
    assert np.exp(logs[0]) == pytest.approx(1 - DISCOUNT + DISCOUNT / vocabulary)
    assert reached.tolist() == [0]
    assert adaptive_log_probabilities([1, 2, 1, 2, 1], vocabulary)[1].tolist() == [0, 0, 1, 2]


def test_what_is_heard_are_the_models_own_words(tuned: Tuned) -> None:
    mixture = fit_mixture(tuned, texts(6), texts(3))
    heard = listen(tuned, mixture.ngram, texts(2, "ham"))
    own = token_nats(tuned, [example.source for example in texts(2, "ham")])
    np.testing.assert_allclose(-heard.logs_KT[0], np.concatenate(own))
    assert text_nats(tuned, [texts(1)[0].source])[0] == pytest.approx(token_nats(tuned, [texts(1)[0].source])[0].sum())
    assert heard.sizes == tuple(len(nats) for nats in own)


def test_the_mixture_is_better_than_each_and_scored_by_text(tuned: Tuned) -> None:
    mixture = fit_mixture(tuned, texts(6), texts(3))
    test = texts(4, "ham")
    found = mixture.answer(test)
    heard = listen(tuned, mixture.ngram, test)
    together = sum(prediction.nats or 0.0 for prediction in found)
    assert together < (-heard.logs_KT.sum(axis=1)).min()
    assert sum(mixture.to_json().values()) == pytest.approx(1)
    alone = mixture.answer(test[2:3])[0].nats
    assert found[2].nats == pytest.approx(alone)


def test_weights_are_those_of_the_likeliest_mixture() -> None:
    rng = np.random.default_rng(0)
    shares = rng.random((2, 4000))
    fitted = likeliest_weights(shares)
    values = [np.log(np.array([w, 1 - w]) @ shares).sum() for w in np.linspace(0.01, 0.99, 99)]
    assert np.log(fitted @ shares).sum() >= max(values) - 1e-3
    assert likeliest_weights(np.array([[0.5, 0.5], [1e-9, 1e-9]]))[0] > 0.99
