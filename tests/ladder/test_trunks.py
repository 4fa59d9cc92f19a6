"""Which runs share which steps."""

from dataclasses import replace

import pytest

from chidu.ladder.plan import Plan
from chidu.ladder.price import link_runs
from chidu.ladder.recipe import Recipe
from chidu.ladder.rung import Rung
from chidu.ladder.trunks import find_trunks, trunks_by_run, with_shorter


@pytest.fixture(scope="module")
def rungs() -> list[Rung]:
    """Three lengths of a width, 600, 100 and 250 steps; then one of another seed, and one of no trunk."""
    config = Recipe().config(32, 64.0 * 100, 256, "0123")
    config = replace(config, batch_tokens=64, accumulate=1, warmup_tokens=640, decay_fraction=0.2)

    def rung(steps: int, **changes: object) -> Rung:
        made = replace(config, tokens=64 * steps, **changes)
        return Rung(made, float(steps))

    return [rung(600), rung(100), rung(250), rung(100, seed=1), rung(100, warmup_tokens=0)]


def test_runs_that_differ_in_length_alone_are_a_trunk(rungs: list[Rung]):
    trunks = find_trunks(rungs)
    assert [[rungs.index(rung) for rung in trunk.rungs] for trunk in trunks] == [[1, 2, 0], [3], [4]]
    trunk = trunks[0]
    assert trunk.stem is rungs[0]
    assert [trunk.shared_steps(rung) for rung in trunk.rungs] == [0, 80, 200]
    assert [trunk.own_steps(rung) for rung in trunk.rungs] == [100, 170, 400]
    assert trunk.steps == 600 + 50 + 20
    assert trunk.lone_steps == 950
    assert [trunk.before(rung) for rung in trunk.rungs] == [None, rungs[1], rungs[2]]
    assert [trunk.after(rung) for rung in trunk.rungs] == [rungs[2], rungs[0], None]
    assert trunks_by_run(rungs)[rungs[2].config.id] == trunk


def test_prices_are_shared_too(rungs: list[Rung]):
    trunk, links = find_trunks(rungs)[0], link_runs(rungs)
    mine = [links[rung.config.id] for rung in trunk.rungs]
    assert [link.seconds for link in mine] == pytest.approx([100, 170, 400])
    assert trunk.flops == pytest.approx(6 * rungs[0].params * 64 * 670)
    assert [link.urgency for link in mine] == pytest.approx([600, 520, 400])


def test_a_long_decay_may_end_after_the_longest_trunk(rungs: list[Rung]):
    late = Rung(replace(rungs[1].config, tokens=64 * 625, decay_fraction=0.64), 625.0)  # branches off at 225
    trunk = find_trunks([*rungs, late])[0]
    assert [rung.config.branch_step for rung in trunk.rungs] == [80, 200, 225, 480]
    links = link_runs([*rungs, late])
    assert links[late.config.id].urgency == pytest.approx(425)
    assert links[rungs[2].config.id].urgency == pytest.approx(120 + 25 + 400)


def test_a_run_that_decays_from_its_first_step_on_shares_nothing(rungs: list[Rung]):
    config = replace(rungs[0].config, warmup_tokens=0, warmup_fraction=0.0)
    made = [
        Rung(replace(config, tokens=64 * steps, decay_fraction=part), 1.0) for steps, part in ((50, 0.999), (90, 0.5))
    ]
    trunk = find_trunks(made)[0]
    assert [rung.config.branch_step for rung in trunk.rungs] == [0, 45]
    assert [trunk.own_steps(rung) for rung in trunk.rungs] == [50, 90]
    assert trunk.before(made[1]) is trunk.after(made[0]) is None


def test_the_shorter_ones_come_first(rungs: list[Rung], plan: Plan):
    assert with_shorter([rungs[3], rungs[2]], rungs) == [rungs[3], rungs[1], rungs[2]]
    assert with_shorter([rungs[1], rungs[0]], rungs) == [rungs[1], rungs[2], rungs[0]]
    assert sorted(map(plan.rungs.index, with_shorter(plan.rungs, plan.rungs))) == list(range(len(plan.rungs)))


def test_evaluations_on_the_way_are_a_trunk_of_their_own(rungs: list[Rung]):
    """They change no loss, but the log of the run that starts would lack them."""
    watched = replace(rungs[0], config=replace(rungs[0].config, eval_every=7))
    assert len(find_trunks([rungs[1], watched])) == 2
