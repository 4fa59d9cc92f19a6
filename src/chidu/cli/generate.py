"""`chidu generate`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from chidu.cli.app import app
from chidu.cli.options import Json, Seed, show

Stops = Annotated[list[str] | None, Parameter(name="--stop", help="End before this string; may be given again.")]


@app.command
def generate(
    model: Path,
    prompt: str,
    /,
    *more: str,
    tokens: int = 100,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    beams: int = 1,
    length_penalty: float = 1.0,
    stop: Stops = None,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Continue texts with a trained model; an encoder-decoder reads each text and writes another.

    Example: `chidu generate lab "def main():" --tokens 80 --temperature 0.8`

    Parameters
    ----------
    model
        A lab, a run's folder, a checkpoint, a tuned model, or a Hugging Face folder; of a lab, the run of most compute.
    prompt
        The text to continue; it is shown as it comes.
    more
        Further texts, continued side by side.
    tokens
        Most tokens to add.
    temperature
        0 takes the likeliest token each time.
    top_k
        Draw among the k likeliest only; 0 for all.
    top_p
        Draw among the likeliest that hold this much probability.
    min_p
        Draw among those of at least this part of the likeliest one's probability.
    repetition_penalty
        Above 1, tokens that were there before become less likely.
    beams
        Search the likeliest text with that many beams instead.
    length_penalty
        Of the beams: above 0 favours longer texts.
    """
    from chidu.model.sampling import Sampling
    from chidu.stages import generate_stage

    sampling = Sampling(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
    )
    prompts = [prompt, *more]
    pieces = generate_stage(
        model, prompts, tokens=tokens, sampling=sampling, stops=stop or (), beams=beams, length_penalty=length_penalty
    )
    if more:
        texts = list(pieces)
        answers = [{"prompt": asked, "text": text} for asked, text in zip(prompts, texts, strict=True)]
        show(json_, answers, "\n\n".join(asked + text for asked, text in zip(prompts, texts, strict=True)))
    elif json_:
        show(True, {"prompt": prompt, "text": "".join(pieces)}, "")
    else:
        first = next(pieces, "")  # before anything is shown, so that a model that cannot be loaded shows nothing
        print(prompt + first, end="", flush=True)
        for piece in pieces:
            print(piece, end="", flush=True)
        print()
