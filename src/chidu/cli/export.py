"""`chidu export`."""

from pathlib import Path

from chidu.cli.app import app
from chidu.cli.options import Json, show


@app.command
def export(model: Path, /, *, out: Path = Path("exported"), json_: Json = False) -> None:
    """Write a model as a checkpoint that `transformers` loads without our code, with its tokenizer and model card.

    A decoder becomes a Llama, a Qwen or a GPT-2, an encoder a EuroBERT or a BERT, an encoder-decoder a T5; a tuned
    classifier keeps its head and labels.

    Example: `chidu export lab --out exported`, or of a tuned model: `chidu export tuned --out exported`

    Parameters
    ----------
    model
        A lab, a run's folder, a checkpoint, a tuned model, or a Hugging Face folder; of a lab, the run of most compute.
    out
        The folder to write.
    """
    from chidu.stages import export_stage

    source, architecture = export_stage(model, out)
    value = {"model": str(source), "out": str(out), "architecture": architecture}
    show(json_, value, f"{source} exported to {out} as {architecture}")
