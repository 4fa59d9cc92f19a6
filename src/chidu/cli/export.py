"""`chidu export`."""

from pathlib import Path

from chidu.cli.app import app
from chidu.cli.options import Json, show


@app.command
def export(model: Path, /, *, out: Path = Path("exported"), json_: Json = False) -> None:
    """Write a model as a Llama checkpoint that `transformers` loads without our code.

    Example: `chidu export lab --out exported`

    Parameters
    ----------
    model
        A lab, a run's folder, or a checkpoint; of a lab, the run of most compute.
    out
        The folder to write.
    """
    from chidu.stages import export_stage

    source = export_stage(model, out)
    show(json_, {"model": str(source), "out": str(out)}, f"{source} exported to {out}")
