import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chidu.errors import InputError
from chidu.ladder.design import Corpus, Design, design
from chidu.ladder.plan import Plan, Speed
from chidu.ladder.price import ladder_seconds, price_job

LEAST, MOST = Design().bounds


def budgets_of(plan: Plan) -> list[list[float]]:
    """Tokens per parameter of the rungs, a list an amount of compute, the largest first."""
    groups: dict[int, list[float]] = {}
    rungs = sorted((rung for rung in plan.rungs if rung.role == "rung"), key=lambda rung: -rung.flops)
    level, top = 0, rungs[0].flops
    for rung in rungs:
        if rung.flops < top / 1.4:
            level, top = level + 1, rung.flops
        groups.setdefault(level, []).append(rung.tokens / rung.params)
    return list(groups.values())


def test_three_amounts_of_compute_at_several_ratios(plan: Plan):
    budgets = budgets_of(plan)
    assert [len(ratios) for ratios in budgets] == [4, 4, 4]
    for ratios in budgets:
        assert min(ratios) > 0.99 * LEAST
        assert max(ratios) > 4 * min(ratios)
    assert Counter(rung.role for rung in plan.rungs) == {"rung": 12, "replicate": 2, "probe": 4}
    assert len({rung.config.id for rung in plan.rungs}) == 18


def test_replicates_differ_by_the_seed_and_probes_by_the_rate(plan: Plan):
    rungs = [rung.config for rung in plan.rungs if rung.role == "rung"]
    for rung in plan.rungs:
        if rung.role == "replicate":
            assert replace(rung.config, seed=0) in rungs
        elif rung.role == "probe":
            factor = rung.config.learning_rate / plan.recipe.embedding_rate
            assert factor in (0.5, 2.0)
            base = replace(
                rung.config,
                learning_rate=rung.config.learning_rate / factor,
                hidden_learning_rate=rung.config.hidden_learning_rate / factor,
            )
            assert base in rungs
    probed = {rung.config.model.d_model for rung in plan.rungs if rung.role == "probe"}
    cheapest = min(rung.flops for rung in plan.rungs)
    widths = {rung.config.model.d_model for rung in plan.rungs if rung.flops < 1.3 * cheapest}
    assert probed == {min(widths), max(widths)}


@given(
    budget=st.floats(5, 1e6),
    tokens=st.integers(10_000, 10**9),
    vocab=st.sampled_from([257, 1024, 8192]),
    workers=st.integers(1, 8),
    per_flop=st.floats(1e-14, 1e-10),
)
@settings(max_examples=30, deadline=None)
def test_any_plan_keeps_its_promises_or_says_why_not(budget, tokens, vocab, workers, per_flop):
    corpus, speed = Corpus("x", vocab, tokens, 100_000), Speed(0.0, 1e-6, per_flop, 1.0, workers, "cpu")
    plan, why = None, ""
    try:
        plan = design(budget, corpus, speed)
    except InputError as error:
        why = str(error)
    if plan is None:
        assert re.match(r"a budget of .* is too small|the corpus is smaller than the plan needs", why)
        return
    assert plan.seconds <= budget
    assert plan.seconds == ladder_seconds([price_job(rung, speed, 100_000) for rung in plan.rungs], workers)
    assert max(rung.tokens for rung in plan.rungs) <= tokens
    ratios = [rung.tokens / rung.params for rung in plan.rungs]
    assert 0.99 * LEAST < min(ratios) < max(ratios) < 1.05 * MOST
    assert len({rung.config.id for rung in plan.rungs}) == len(plan.rungs)
    flops = [rung.flops for rung in plan.law_runs]
    assert max(flops) / min(flops) > 3.5
    assert len({rung.config.model.d_model for rung in plan.law_runs}) >= 2


def test_more_time_is_never_less_compute(corpus: Corpus, speed: Speed):
    tops, totals = [], []
    for budget in (60, 61, 300, 900):
        plan = design(budget, corpus, speed)
        tops.append(plan.largest_flops)
        totals.append(plan.flops)
    assert tops == sorted(tops)
    assert totals == sorted(totals)


def smallest_budget(corpus: Corpus, speed: Speed) -> int:
    """The seconds that the refusal of one second names."""
    with pytest.raises(InputError, match=r"a budget of 1 s is too small.*; give --budget \d+s or more") as caught:
        design(1, corpus, speed)
    found = re.search(r"--budget (\d+)s", str(caught.value))
    assert found
    return int(found[1])


def test_a_budget_too_small_names_the_smallest(corpus: Corpus, speed: Speed):
    smallest = smallest_budget(corpus, speed)
    assert design(smallest, corpus, speed).seconds <= smallest
    with pytest.raises(InputError, match=f"a budget of {smallest - 1} s is too small"):
        design(smallest - 1, corpus, speed)


@pytest.mark.parametrize("tokens", [1000, 20_000, 100_000])
def test_a_corpus_too_small_for_any_ladder(corpus: Corpus, speed: Speed, tokens: int):
    for budget in (1, 60, 3600, 1e6):
        with pytest.raises(InputError, match=rf"the corpus is smaller than the plan needs: {tokens:,} training tokens"):
            design(budget, replace(corpus, train_tokens=tokens), speed)


@pytest.mark.parametrize("tokens", [1_000_000, 5_000_000])
def test_a_corpus_too_small_for_the_budget_names_one_that_fits(corpus: Corpus, speed: Speed, tokens: int):
    small = replace(corpus, train_tokens=tokens)
    with pytest.raises(InputError, match=r"the corpus is smaller than the plan needs.*give --budget \d+s$") as caught:
        design(7200, small, speed)
    fits = int(str(caught.value).rpartition(" ")[2].rstrip("s"))
    assert design(fits, small, speed).seconds <= fits
    with pytest.raises(InputError, match="the corpus is smaller"):
        design(fits + 1, small, speed)


def test_a_tight_budget_goes_without_probes(corpus: Corpus, speed: Speed):
    tight = design(smallest_budget(corpus, speed), corpus, speed)
    assert {rung.role for rung in tight.rungs} == {"rung"}
    assert len(budgets_of(tight)) == 3


def test_other_shapes_and_seeds(corpus: Corpus, speed: Speed):
    shape = Design(budgets=4, ratios=(10.0, 20.0, 40.0), replicates=3, probe_factors=())
    plan = design(900, corpus, speed, shape=shape, seed=5)
    assert [len(ratios) for ratios in budgets_of(plan)] == [3, 3, 3, 3]
    assert sorted(Counter(rung.config.seed for rung in plan.rungs).items()) == [(5, 12), (6, 1), (7, 1), (8, 1)]
