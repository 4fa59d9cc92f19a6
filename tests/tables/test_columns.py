import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chidu.errors import InputError
from chidu.tables.columns import find_loss
from chidu.tables.read import read_runs

SHARED = Path(__file__).parents[2] / ".." / "shared" / "runs"


def read(folder, text, columns=None):
    path = folder / "runs.csv"
    path.write_text(text, encoding="utf-8")
    return read_runs(path, columns)


def only(folder, text, columns=None):
    table = read(folder, text, columns)
    return table.runs[0], " | ".join(table.notes)


def test_units_give_the_same_table(tmp_path):
    plain = read(tmp_path, "params,tokens,loss,flops\n1.3e9,26.3e9,3.1,2.0514e20\n70e6,1.4e9,3.9,5.88e17\n")
    named = read(tmp_path, "params (M),tokens_B,loss,flops (1e18)\n1300,26.3,3.1,205.14\n70,1.4,3.9,0.588\n")
    assert named.runs == plain.runs
    assert named.notes == (
        "params is read from 'params (M)' in units of 1e+06",
        "tokens is read from 'tokens_B' in units of 1e+09",
        "flops is read from 'flops (1e18)' in units of 1e+18",
    )


@settings(deadline=None, max_examples=50)
@given(params=st.integers(1, 10**7), tokens=st.integers(1, 10**7), loss=st.floats(0.5, 12))
def test_any_table_is_the_same_in_any_unit(params, tokens, loss, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    plain = read(folder, f"params,tokens,loss\n{params}0000,{tokens}000000,{loss!r}\n").runs
    small = read(folder, f"N (M),train_tokens_B,val_loss\n{params / 100},{tokens / 1000},{loss!r}\n").runs
    assert small == plain


def test_a_number_that_names_its_unit_is_not_scaled_twice(tmp_path):
    run, _ = only(tmp_path, "params_B,tokens (B),loss\n1.3B,26B,3.1\n")
    assert (run.params, run.tokens) == (1.3e9, 26e9)


def test_petaflop_days(tmp_path):
    run, notes = only(tmp_path, "PF-days,loss\n3.14,2.5\n")
    assert run.flops == pytest.approx(3.14 * 8.64e19)
    assert "flops is read from 'PF-days' in units of 8.64e+19" in notes


def test_bits_and_perplexities_become_nats(tmp_path):
    run, notes = only(tmp_path, "params,tokens,loss_bits,loss_se\n1e6,2e7,4.5,0.01\n")
    assert run.loss == pytest.approx(4.5 * math.log(2))
    assert run.loss_se is None
    assert "from bits to nats" in notes
    assert "loss_se is not read: its unit is not known" in notes
    run, notes = only(tmp_path, "params,tokens,val_ppl\n1e6,2e7,25\n")
    assert run.loss == pytest.approx(math.log(25))
    assert "loss is the logarithm of the perplexity in 'val_ppl'" in notes
    run, notes = only(tmp_path, "params,tokens,c4 perplexity\n1e6,2e7,25\n", {"loss": "c4 perplexity"})
    assert run.loss == pytest.approx(math.log(25))
    with pytest.raises(InputError, match=r"row 2: ppl is 0\.9, but a perplexity is above 1"):
        read(tmp_path, "params,tokens,ppl\n1e6,2e7,0.9\n")


def test_the_total_is_preferred_and_the_convention_said(tmp_path):
    run, notes = only(tmp_path, "params_nonemb,params,tokens,loss\n1e6,3e6,2e7,3\n")
    assert run.params == 3e6
    assert "params is read from 'params' (the total), not from params_nonemb" in notes
    run, notes = only(tmp_path, "params,total_params,tokens,loss\n1e6,3e6,2e7,3\n")
    assert run.params == 3e6
    assert "not from params; choose another with --column params=params" in notes
    run, notes = only(tmp_path, "n_params_no_embedding,tokens,loss\n1e6,2e7,3\n")
    assert run.params == 1e6
    assert "parameters without embedding; count a target in the same way" in notes
    run, notes = only(tmp_path, "params,total_params,tokens,loss\n1e6,1e6,2e7,3\n")
    assert run.extra == {"total_params": "1e6"}
    assert "total" not in notes


def test_a_held_out_loss_is_preferred(tmp_path):
    run, notes = only(tmp_path, "params,tokens,train_loss,val_loss\n1e6,2e7,3,3.1\n")
    assert (run.loss, "train" in notes) == (3.1, False)
    run, notes = only(tmp_path, "params,tokens,loss,eval/loss\n1e6,2e7,3,3.1\n")
    assert run.loss == 3.1
    assert "loss is read from 'eval/loss', not from loss; choose another with --column loss=loss" in notes
    run, notes = only(tmp_path, "params,tokens,train/loss\n1e6,2e7,3\n")
    assert run.loss == 3
    assert "a training loss ('train/loss'): no held-out loss was found" in notes
    run, notes = only(tmp_path, "params,tokens,val_loss,loss\n1e6,2e7,3,3\n")
    assert "choose" not in notes


def test_a_loss_of_another_name_is_taken_where_it_is_alone(tmp_path):
    run, notes = only(tmp_path, "params,tokens,c4_en_val_loss\n1e6,2e7,3\n")
    assert run.loss == 3
    assert "the only column that could be a held-out loss" in notes
    with pytest.raises(InputError, match="2 columns that could be the loss: c4_val_loss, pile_val_loss; choose one"):
        read(tmp_path, "params,tokens,c4_val_loss,pile_val_loss\n1e6,2e7,3,3\n")
    run, _ = only(tmp_path, "params,tokens,c4_val_loss,pile_val_loss\n1e6,2e7,3,4\n", {"loss": "pile_val_loss"})
    assert run.loss == 4


def test_names_go_before_letters(tmp_path):
    run, notes = only(tmp_path, "n,n_params,tokens,loss\n7,1e6,2e7,3\n")
    assert run.params == 1e6
    assert "params is read from 'n_params' (the total), not from n;" in notes


def test_text_is_no_candidate(tmp_path):
    run, _ = only(tmp_path, "param_count,params,tokens,loss,loss_name\nkaplan,1e6,2e7,3,ce\n")
    assert run.params == 1e6


def test_a_number_may_be_given_for_every_run(tmp_path):
    run, notes = only(tmp_path, "tokens,loss\n2e7,3\n", {"params": "124M"})
    assert run.params == 124e6
    assert "params is 124M for every run, as given with --column" in notes
    with pytest.raises(InputError, match="has no column many; it has tokens, loss"):
        read(tmp_path, "tokens,loss\n2e7,3\n", {"params": "many"})
    with pytest.raises(InputError, match="has no column 3"):
        read(tmp_path, "tokens,loss\n2e7,3\n", {"run": "3"})


@pytest.mark.parametrize(
    ("theirs", "tokens"),
    [("seen (B)", 3e9), ("seen_billions", 3e9), ("seen_B", 3e9), ("seen_b", 3.0), ("web", 3.0)],
)
def test_a_column_that_is_given_may_name_its_unit(theirs, tokens, tmp_path):
    run, _ = only(tmp_path, f"params,{theirs},loss\n1e6,3,3\n", {"tokens": theirs})
    assert run.tokens == tokens


def test_what_is_given_goes_before_what_is_recognised(tmp_path):
    run, _ = only(tmp_path, "params,tokens,D,loss\n1e6,2e7,3e7,3\n", {"tokens": "D"})
    assert run.tokens == 3e7
    run, _ = only(tmp_path, "N,tokens,val_loss,x\n1e6,2e7,3,4e6\n", {"params": "x"})
    assert run.params == 4e6


def test_find_loss_of_a_log():
    assert find_loss(["train/loss", "val/loss"]) == "val/loss"
    assert find_loss(["val_a_loss", "val_b_loss"]) is None
    assert find_loss(["val_a_loss", "val_b_loss"], "val_b_loss") == "val_b_loss"
    assert find_loss(["c4_loss"]) == "c4_loss"
    assert find_loss(["lr"]) is None


@pytest.mark.skipif(not SHARED.exists(), reason="the published tables are not here")
def test_published_tables_are_read_as_they_are_meant():
    gadre = read_runs(SHARED / "gadre_overtrain.csv")
    assert gadre.runs[0].loss == float(gadre.runs[0].extra["loss_c4_val"])
    assert any("params_nonemb" in note for note in gadre.notes)
    assert any("loss_paloma_c4_en" in note for note in gadre.notes)
    moe = read_runs(SHARED / "steplaw_moe.csv")
    assert moe.runs[0].params == pytest.approx(2.15e9, rel=0.01)
    assert moe.runs[0].active_params == pytest.approx(1.88e8, rel=0.01)
    assert not any("flops" in note for note in moe.notes)
    porian = " ".join(read_runs(SHARED / "porian_isoflop.csv").notes)
    assert "param_count differs between the rows (kaplan, standard)" in porian
    for name in ("chinchilla_epoch", "datablations_c4"):
        assert read_runs(SHARED / f"{name}.csv").notes == ()
    with pytest.raises(InputError, match="lacks the column tokens"):
        read_runs(SHARED / "multipowerlaw_curves.csv")
