import math

import numpy as np
import pytest
import torch

from chidu.model.transformer import Transformer
from chidu.training.evaluation import evaluate


@torch.no_grad()
@pytest.mark.parametrize("batch_tokens", [1, 3 * 32, 4096])
def test_loss_error_and_bits_by_hand(make_config, dataset, batch_tokens: int):
    model = Transformer(make_config(logit_scale=3.0).model)
    windows = dataset.windows("passages", 32)[:7]
    total_bytes, means = 0, []
    for window in windows:
        probabilities = model(torch.from_numpy(window[None, :-1].astype(np.int64)))[0].double().softmax(dim=-1)
        losses = [-math.log(probabilities[place, token]) for place, token in enumerate(window[1:])]
        means.append(sum(losses) / 32)
        total_bytes += sum(len(dataset.tokenizer.pieces[token]) for token in window[1:])
    found = evaluate(model, windows, dataset.token_bytes, batch_tokens=batch_tokens, fused=False)
    mean = sum(means) / 7
    assert found.loss == pytest.approx(mean, rel=1e-6)
    assert found.loss_se == pytest.approx(math.sqrt(sum((m - mean) ** 2 for m in means) / 6 / 7), rel=1e-4)
    assert found.bits_per_byte == pytest.approx(mean * 7 * 32 / math.log(2) / total_bytes, rel=1e-6)
    assert found.tokens == 7 * 32
    fused = evaluate(model, windows, dataset.token_bytes, batch_tokens=batch_tokens)
    assert fused.loss == pytest.approx(found.loss, abs=1e-6)
