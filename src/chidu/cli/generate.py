"""`chidu generate`."""

from pathlib import Path

from chidu.cli.app import app
from chidu.cli.options import Json, show


@app.command
def generate(
    model: Path,
    prompt: str,
    /,
    *,
    tokens: int = 100,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    json_: Json = False,
) -> None:
    """Continue a text with a trained model.

    Example: `chidu generate lab "def main():" --tokens 80 --temperature 0.8`

    Parameters
    ----------
    model
        A lab, a run's folder, or a checkpoint; of a lab, the run of most compute.
    prompt
        The text to continue.
    tokens
        Most tokens to add.
    temperature
        0 takes the likeliest token each time.
    top_k
        Draw among the k likeliest only; 0 for all.
    top_p
        Draw among the likeliest that hold this much probability.
    """
    from chidu.stages import generate_stage

    text = generate_stage(model, prompt, tokens=tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    show(json_, {"prompt": prompt, "text": text}, prompt + text)
