"""`chidu score`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from chidu.cli.app import app
from chidu.cli.options import Columns, Json, read_number, read_table, show
from chidu.errors import InputError

if TYPE_CHECKING:
    from chidu.runs import Run


@app.command
def score(
    receipt: Path | None = None,
    /,
    *,
    runs: Path | None = None,
    run: str = "",
    loss: Annotated[float | None, Parameter(converter=read_number)] = None,
    value: Annotated[float | None, Parameter(converter=read_number)] = None,
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
        A table, as for `chidu fit`, with the run that was forecast: the row of the target's size. Of a metric, with its
        column.
    run
        Its name there, or `row N`, where several seeds of it landed.
    loss
        What the run reached, instead of a table: nats per token.
    value
        The same of a receipt that forecasts a metric, such as an accuracy.
    ledger
        A folder of receipts to verify: nothing changed, taken out, put in or moved.
    head
        With --ledger: a hash that was published once, which some line must have.
    """
    if ledger is not None:
        if receipt is not None or runs is not None or loss is not None or value is not None or run:
            raise InputError(
                "--ledger verifies a whole folder: leave out the receipt, --runs, --run, --loss and --value"
            )
        from chidu.forecast.landed import read_record

        record = read_record(ledger, head)
        show(json_, record.to_json(), str(record))
        return
    if receipt is None:
        raise InputError("give a receipt to score, or --ledger FOLDER to verify")
    if head:
        raise InputError(f"--head {head}: it belongs to --ledger")
    from chidu.forecast.receipt import score as score_receipt

    outcome = score_receipt(receipt, _landed(receipt, runs, run, loss, value, column))
    show(json_, outcome.to_json(), str(outcome))


def _landed(
    receipt: Path, runs: Path | None, run: str, loss: float | None, value: float | None, column: "Columns"
) -> "Run | float":
    """What has landed: the run of a table, or the number that was given."""
    from chidu.forecast.landed import find_run
    from chidu.forecast.receipt import LOSS, quantity_of, read_receipt
    from chidu.runs import Run

    if sum(given is not None for given in (runs, loss, value)) != 1:
        raise InputError("give one of --runs TABLE with the run that has landed, --loss, or --value of a metric")
    if runs is not None:
        return find_run(receipt, read_table(runs, column), run)
    quantity = quantity_of(read_receipt(receipt))
    if (loss is None) == (quantity == LOSS):
        right = "--loss" if quantity == LOSS else "--value"
        raise InputError(f"{receipt} forecasts {quantity}: give what the run reached of it with {right}")
    return Run(loss=loss) if loss is not None else float(value or 0.0)
