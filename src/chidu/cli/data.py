"""`chidu data`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from chidu.cli.app import app
from chidu.cli.options import Json, open_terminal, show


@app.command
def data(
    sources: Annotated[list[str], Parameter(help="Files or folders of text, or `builtin`.")],
    /,
    *,
    out: Path = Path("lab/data"),
    vocab_size: int = 1024,
    json_: Json = False,
) -> None:
    """Turn raw text into training tokens, held-out text and a data sheet.

    Example: `chidu data novels.jsonl.gz notes/ --out lab/data`

    Reads .txt .md .rst .py .jsonl .json .csv, each also .gz; `builtin` is Python's standard library.

    Parameters
    ----------
    out
        The data folder.
    vocab_size
        Tokens of the byte-level BPE; 257 for plain bytes.
    """
    from chidu.data.prepare import prepare

    with open_terminal(json_) as watch:
        made = prepare(sources, out, vocab_size=vocab_size, progress=watch.share("data"))
    show(json_, made.to_json(), str(made))
