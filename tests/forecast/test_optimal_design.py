import numpy as np
import pytest

from chidu.forecast.optimal_design import SPREAD, Candidate, Search, expected_half_width
from chidu.ladder.price import Job, ladder_seconds, work_seconds

TOP, RATIOS = 1e18, (5.0, 10.0, 20.0, 40.0, 80.0)


def candidates(shared: bool) -> list[Candidate]:
    """Three halvings of the compute at some widths; a second for 1e15 FLOPs."""
    out = []
    for ratio in RATIOS:
        params = float(np.sqrt(TOP / 6 / ratio))
        for level in range(4):
            tokens = TOP / 6 / params / 2**level
            if tokens / params < 3.5:
                continue
            steps = round(1000 / 2**level)
            trunk = f"{ratio}" if shared else f"{ratio}-{level}"
            seconds = TOP / 2**level / 1e15
            out.append(Candidate(params, tokens, Job(trunk, steps, round(0.7 * steps), seconds, seconds / steps)))
    return out


def search(shared: bool, budget: float, noise: float = 0.004) -> Search:
    target = (float(np.sqrt(10 * TOP / 120)), float(np.sqrt(10 * TOP * 20 / 6)))
    return Search(candidates(shared), target, extra=[], workers=2, budget_seconds=budget, noise=noise, replicates=0)


def fixed(candidates: list[Candidate]) -> list[int]:
    cheap = [i for i, c in enumerate(candidates) if c.params * c.tokens < TOP / 6 / 5]
    return [cheap[0], cheap[-1]]


@pytest.mark.parametrize("shared", [False, True])
def test_a_design_keeps_to_its_budget_and_varies_tokens_per_param(shared):
    question = search(shared, budget=2500.0)
    chosen = question.find(fixed(candidates(shared)))
    jobs = question.jobs(chosen.runs)
    assert work_seconds(jobs) <= 2 * 2500
    assert ladder_seconds(jobs, 2) <= 2500
    runs = [(c.params, c.tokens) for c in (question.candidates[i] for i in chosen.runs)]
    ratios = [tokens / params for params, tokens in runs]
    assert max(ratios) >= SPREAD * min(ratios)
    assert chosen.half_width == pytest.approx(expected_half_width(runs, question.target, noise=0.004), rel=0.05)


def test_trunks_and_time_narrow():
    lone, shared, longer = (
        search(*asked).find(fixed(candidates(asked[0]))) for asked in ((False, 2000.0), (True, 2000.0), (False, 6000.0))
    )
    assert shared.half_width < lone.half_width
    assert longer.half_width < lone.half_width


def test_it_beats_a_design_by_hand_of_the_same_price():
    """Against four of the largest runs, and four of half their price."""
    question = search(False, budget=2500.0)
    found = question.find(fixed(candidates(False)))
    for seconds, count in ((1000, 4), (500, 4)):
        by_hand = [i for i, c in enumerate(question.candidates) if c.job.seconds == seconds][:count]
        points = [(c.params, c.tokens) for c in (question.candidates[i] for i in by_hand)]
        assert len(points) == count
        assert question.fits(by_hand)
        assert found.half_width < expected_half_width(points, question.target, noise=0.004)


def test_a_run_that_is_not_worth_its_price_is_not_bought():
    """Without noise one run of each kind says all: the budget is left."""
    question = search(False, budget=1e5, noise=0.0007)
    chosen = question.find(fixed(candidates(False)))
    assert work_seconds(question.jobs(chosen.runs)) < 0.5 * 2e5


def test_copies_are_other_seeds_and_share_no_trunk():
    question = search(True, budget=1e5)
    first, again = question.jobs([0, 0])
    assert first.trunk != again.trunk
    assert work_seconds([first, again]) == pytest.approx(2 * first.seconds)
