"""TensorBoard: the scalars of event files, read without TensorFlow or TensorBoard.

An event file is a TFRecord: length (8 bytes), its checksum (4), an `Event`, its checksum (4). Of the protocol buffers
`Event`, `Summary` and `TensorProto` only the few fields of scalars are read; torch writes `simple_value`, TensorFlow 2
a tensor. A folder that holds event files is a run, as in TensorBoard itself.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from chidu.errors import CorruptError
from chidu.tables.curves import Ends, last_values
from chidu.tables.files import name_below, read_bytes
from chidu.tables.settings import HOW, read_settings
from chidu.tables.sheet import Sheet, fill, to_text

MARK = "tfevents"
SMALL = 4096
"""Bytes of a record whose checksum is compared: scalars are small, images and graphs are not read."""
TENSORS = {1: ("<f", 5), 2: ("<d", 6)}
"""Of the `DataType` float and double: the form of a value, and the field that holds it."""


def _make_crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


CRC_TABLE = _make_crc_table()


def masked_crc(data: bytes) -> int:
    """The checksum of a TFRecord: CRC-32C, rotated and shifted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_folder(folder: Path, files: Sequence[Path], loss: str | None) -> Sheet | None:
    """Read one run for each folder with event files; None where there are none."""
    homes: dict[Path, list[Path]] = {}
    for path in files:
        if MARK in path.name:
            homes.setdefault(path.parent, []).append(path)
    if not homes:
        return None
    return _read_runs(folder, homes, loss)


def read_event_file(path: Path, loss: str | None) -> Sheet:
    """Read the run of one event file."""
    return _read_runs(path, {path.parent: [path]}, loss)


def _read_runs(source: Path, homes: dict[Path, list[Path]], loss: str | None) -> Sheet:
    ends = Ends()
    rows = []
    for line, (home, paths) in enumerate(homes.items(), start=1):
        curves: dict[str, list[tuple[float, float]]] = {}
        for path in paths:
            for tag, step, value in read_scalars(path):
                curves.setdefault(tag, []).append((step, value))
        name = name_below(source, home) if home.is_relative_to(source) else home.name
        values = {tag: to_text(value) for tag, value in last_values(curves, ends, loss).items()}
        rows.append((line, {"run": name, **read_settings(home), **values}))
    header, filled = fill(rows)
    return Sheet(path=source, header=header, rows=filled, word="run", tracked=True, notes=ends.notes(), advice=HOW)


def read_scalars(path: Path) -> Iterator[tuple[str, int, float]]:
    """The scalars of an event file, (tag, step, value), in the order in which they were written.

    Raises:
        CorruptError: a checksum is wrong; a record that is cut off at the end is one still being written.
    """
    for record in _read_records(path):
        try:
            yield from _read_event(record)
        except (IndexError, struct.error, UnicodeDecodeError):
            raise CorruptError(f"{path} holds a record that is no event; delete the file") from None


def _read_records(path: Path) -> Iterator[bytes]:
    content, at = read_bytes(path), 0
    while at + 12 <= len(content):
        length, crc = struct.unpack_from("<QI", content, at)
        if masked_crc(content[at : at + 8]) != crc:
            raise CorruptError(f"{path} is damaged or no event file: a wrong checksum at byte {at}; delete it")
        record = content[at + 12 : at + 12 + length]
        if at + 16 + length > len(content):
            return
        if length <= SMALL:
            if masked_crc(record) != struct.unpack_from("<I", content, at + 12 + length)[0]:
                raise CorruptError(f"{path} is damaged: a wrong checksum at byte {at}; delete it")
            yield record
        at += 16 + length


def _read_event(record: bytes) -> Iterator[tuple[str, int, float]]:
    """`Event`: step = 2, summary = 5; `Summary`: value = 1; `Summary.Value`: tag = 1, simple_value = 2, tensor = 8."""
    event = dict(_fields(record))
    step, summary = event.get(2, 0), event.get(5, b"")
    for number, part in _fields(summary) if isinstance(summary, bytes) else ():
        if number != 1 or not isinstance(part, bytes):
            continue
        value = dict(_fields(part))
        tag, scalar = value.get(1), _read_value(value.get(2), value.get(8))
        if isinstance(tag, bytes) and scalar is not None and isinstance(step, int):
            yield tag.decode(), step, scalar


def _read_value(simple: int | bytes | None, tensor: int | bytes | None) -> float | None:
    """A scalar; `TensorProto`: dtype = 1, tensor_content = 4, float_val = 5, double_val = 6."""
    if isinstance(simple, bytes):
        return float(struct.unpack("<f", simple)[0])
    if not isinstance(tensor, bytes):
        return None
    fields = dict(_fields(tensor))
    kind = fields.get(1)
    form, number = TENSORS.get(kind, ("", 0)) if isinstance(kind, int) else ("", 0)
    content = fields.get(4) or fields.get(number)
    if not form or not isinstance(content, bytes) or len(content) != struct.calcsize(form):
        return None
    return float(struct.unpack(form, content)[0])


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protocol buffer, (number, value): a varint as a number, all others as their bytes."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _read_varint(message, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _read_varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise IndexError
        if at + size > len(message):
            raise IndexError
        yield key >> 3, message[at : at + size]
        at += size


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
