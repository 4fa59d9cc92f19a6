"""`chidu attend`."""

from pathlib import Path

from chidu.cli.app import app
from chidu.cli.options import Json, Seed, show


@app.command
def attend(
    model: Path,
    text: str,
    /,
    *,
    words: str = "",
    target: str = "",
    on: Path | None = None,
    out: Path = Path("attention.html"),
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Show the attention of every layer and head on a text, and what the loss is without each head.

    Attention alone explains little: beside weights stands what chance would give, beside each head what it is worth.

    Example: `chidu attend lab "我爱学习编程" --out attention.html`

    Parameters
    ----------
    model
        A lab, a run's folder, a checkpoint, a tuned model, or a Hugging Face folder; of a lab, the run of most compute.
    text
        The text to read; of an encoder-decoder the source.
    words
        The text cut into words by spaces, such as "我 爱 学习 编程"; by default Chinese is cut by jieba, where that is
        installed, else by character.
    target
        Of an encoder-decoder, the text that it writes; by default what it does write.
    on
        A text file for the loss without each head; by default the held-out text of the lab, else the text itself.
    out
        The page to write.
    seed
        Of the other orders of the words.
    """
    from chidu.stages import attend_stage

    study = attend_stage(model, text, out, words=words, target=target, on=on, seed=seed)
    show(json_, {**study.to_json(), "page": str(out)}, f"{study}\n\nThe page is {out}")
