"""Parquet, where pyarrow is installed."""

import io
from pathlib import Path

from chidu.errors import CorruptError, InputError
from chidu.tables.json_lines import make_json_sheet
from chidu.tables.sheet import Sheet

MAGIC = b"PAR1"
INDEX = "__index_level_"
"""Columns of pandas that hold the numbers of the rows."""


def read_parquet(path: Path, content: bytes) -> Sheet:
    """Read runs from Parquet; rows are counted from 1.

    Raises:
        InputError: pyarrow is missing, or the table has one name twice.
        CorruptError: it is not valid Parquet.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(
            f"{path} is Parquet, which needs pyarrow: pip install 'chidu[parquet]', or write the table as CSV"
        ) from None
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        names = file.schema_arrow.names
        rows = file.read().to_pylist() if len(set(names)) == len(names) else None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise CorruptError(f"{path} is not valid Parquet ({str(error).splitlines()[0]}); write it again") from None
    if rows is None:
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InputError(f"{path} has the column {' and '.join(twice)} twice; rename or delete one")
    plain = [{name: value for name, value in row.items() if not name.startswith(INDEX)} for row in rows]
    return make_json_sheet(path, list(enumerate(plain, start=1)), "row")
