"""`chidu score`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, read_number, read_table, show
from chidu.errors import InputError


@app.command
def score(
    receipt: Path | None = None,
    /,
    *,
    runs: Path | None = None,
    run: str = "",
    loss: Annotated[float | None, Parameter(converter=read_number)] = None,
    ledger: Path | None = None,
    head: str = "",
    column: Columns = None,
    json_: Json = False,
) -> None:
    """Score a locked forecast with the run that has landed, or verify a folder of receipts and list how they did.

    Example: `chidu score receipts/0123456789ab.json --runs runs.csv`

    Example: `chidu score --ledger receipts`

    Parameters
    ----------
    receipt
        A file that `chidu forecast --lock` or `chidu run` wrote.
    runs
        A table, as for `chidu fit`, with the run that was forecast: the row of the target's size.
    run
        Its name there, or `row N`, where several seeds of it landed.
    loss
        What the run reached, instead of a table: nats per token.
    ledger
        A folder of receipts to verify: nothing changed, taken out, put in or moved.
    head
        With --ledger: a hash that was published once, which some line must have.
    """
    if ledger is not None:
        if receipt is not None or runs is not None or loss is not None or run:
            raise InputError("--ledger verifies a whole folder: leave out the receipt, --runs, --run and --loss")
        from chidu.forecast.landed import read_record

        record = read_record(ledger, head)
        show(json_, record.to_json(), str(record))
        return
    if receipt is None:
        raise InputError("give a receipt to score, or --ledger FOLDER to verify")
    if head:
        raise InputError(f"--head {head}: it belongs to --ledger")
    from chidu.forecast.landed import find_run
    from chidu.forecast.receipt import score as score_receipt
    from chidu.runs import Run

    if runs is not None and loss is None:
        landed = find_run(receipt, read_table(runs, column), run)
    elif loss is not None and runs is None:
        landed = Run(loss=loss)
    else:
        raise InputError("give --runs TABLE with the run that has landed, or --loss")
    outcome = score_receipt(receipt, landed)
    show(json_, outcome.to_json(), str(outcome))
