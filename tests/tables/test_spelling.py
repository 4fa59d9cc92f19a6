import pytest

from chidu.tables.spelling import recognise

SPELT = {
    "params": "params,N,n_params,Model Size,numParams,N (params),Parameters (N),# of parameters,config/n_params,"
    "params.n_params,model/num_parameters",
    "tokens": "tokens,D,D (tokens),training tokens (D),train_tokens,metrics.tokens_seen,throughput/total_tokens,"
    "train/num_input_tokens_seen",
    "flops": "C,compute C,C (FLOPs),total_flos,compute",
    "loss": "loss,L,loss (L),val/loss,Loss/val,summary.val/loss,metrics.eval/loss,valid_loss,nats_per_token",
    "active_params": "active_params,params_active,n_active,Active parameters,activated params",
    "bits_per_byte": "bpb,bits/byte",
    "learning_rate": "lr,params.lr,config.optimizer.lr,train/lr,peak_lr",
    "n_layer": "depth,config.model.n_layer",
    "step": "step,iter,train/global_step",
    "run": "Name,run_id,tags.mlflow.runName",
    "status": "State,status",
}


@pytest.mark.parametrize(
    ("ours", "theirs"), [(ours, name) for ours, names in SPELT.items() for name in names.split(",")]
)
def test_many_spellings_mean_the_same(ours, theirs):
    match = recognise(theirs)
    assert match is not None
    assert (match.ours, match.unit, match.measure) == (ours, None, "")


@pytest.mark.parametrize(
    ("theirs", "ours", "scale"),
    [
        ("tokens (B)", "tokens", 1e9),
        ("train_tokens_B", "tokens", 1e9),
        ("tokens_in_billions", "tokens", 1e9),
        ("billion tokens", "tokens", 1e9),
        ("tokensB", "tokens", 1e9),
        ("D [T]", "tokens", 1e12),
        ("tokens (10^9)", "tokens", 1e9),
        ("tokens/1e9", "tokens", 1e9),
        ("params_M", "params", 1e6),
        ("N (millions)", "params", 1e6),
        ("config/params (M)", "params", 1e6),
        ("active params (B)", "active_params", 1e9),
        ("unique_tokens (B)", "unique_tokens", 1e9),
        ("flops (1e18)", "flops", 1e18),
        ("compute (EFLOPs)", "flops", 1e18),
        ("exaFLOPs", "flops", 1e18),
        ("train_zflops", "flops", 1e21),
        ("PFLOP-days", "flops", 8.64e19),
        ("petaflop/s-days", "flops", 8.64e19),
        ("compute (PF-days)", "flops", 8.64e19),
    ],
)
def test_units_in_a_header(theirs, ours, scale):
    match = recognise(theirs)
    assert match is not None
    assert match.unit is not None
    assert match.ours == ours
    assert match.unit.factor * 10.0**match.unit.power == pytest.approx(scale)


@pytest.mark.parametrize(
    ("theirs", "measure", "kind"),
    [
        ("loss_bits", "bits", ""),
        ("bits_per_token", "bits", ""),
        ("val loss [bits/token]", "bits", "held-out"),
        ("ppl", "perplexity", ""),
        ("eval/perplexity", "perplexity", "held-out"),
        ("train_loss", "", "training"),
        ("train/loss", "", "training"),
        ("val_loss_epoch", "", "held-out"),
        ("loss_c4_val", "", "other"),
        ("best_val_loss", "", "other"),
    ],
)
def test_losses_are_told_by_their_words(theirs, measure, kind):
    match = recognise(theirs)
    assert match is not None
    assert (match.ours, match.measure, match.kind) == ("loss", measure, kind)


@pytest.mark.parametrize(
    ("theirs", "kind"),
    [
        ("total_params", "total"),
        ("num_params_total", "total"),
        ("params_nonemb", "non-embedding"),
        ("n_params_no_embedding", "non-embedding"),
        ("non_embedding_params", "non-embedding"),
        ("Non-embedding params (M)", "non-embedding"),
        ("N_nonemb", "non-embedding"),
    ],
)
def test_kinds_of_params(theirs, kind):
    match = recognise(theirs)
    assert match is not None
    assert (match.ours, match.kind) == ("params", kind)


OTHERS = """tflops,TFLOPS,gpu_tflops,tokens_per_param,tokens_per_second,embedding_params,loss_scale,size,loss_fn,z_loss,
entropy,min_lr,seq_len,lr (1e-4),name (B),train/loss_std,%,b,D/N,n_d,_step,summary/_step,"""


@pytest.mark.parametrize("theirs", OTHERS.replace("\n", "").split(","))
def test_what_is_no_column_of_chidu(theirs):
    assert recognise(theirs) is None
