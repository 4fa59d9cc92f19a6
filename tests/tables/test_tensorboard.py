import json
import struct

import pytest

from chidu.errors import CorruptError, InputError
from chidu.tables.read import read_runs
from chidu.tables.tensorboard import masked_crc, read_scalars

NAME = "events.out.tfevents.1700000000.host.1.0"


def varint(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def block(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def event(step, values):
    """An `Event` with a summary of (tag, the bytes of the value's field)."""
    summary = b"".join(block(1, block(1, tag.encode()) + value) for tag, value in values)
    return b"\x09" + struct.pack("<d", 1.7e9) + b"\x10" + varint(step) + block(5, summary)


def simple(value):
    return b"\x15" + struct.pack("<f", value)


def record(content):
    length = struct.pack("<Q", len(content))
    ends = struct.pack("<I", masked_crc(length)), struct.pack("<I", masked_crc(content))
    return length + ends[0] + content + ends[1]


def write(folder, events, name=NAME):
    folder.mkdir(parents=True, exist_ok=True)
    version = b"\x09" + struct.pack("<d", 1.7e9) + block(3, b"brain.Event:2")
    (folder / name).write_bytes(b"".join(record(content) for content in (version, *events)))
    return folder / name


def curve(losses):
    return [
        event(100 * i, [("val/loss", simple(loss)), ("train/tokens", simple(1e8 * i)), ("lr", simple(0.5 / (1 + i)))])
        for i, loss in enumerate(losses)
    ]


def test_checksums_are_those_of_the_standard():
    crc = 0xE3069283  # CRC-32C of these digits, as in the catalogues of checksums
    assert masked_crc(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_folder_of_runs(tmp_path):
    write(tmp_path / "a", curve([9.0, 3.5]))
    write(tmp_path / "b", curve([9.0, 3.25]))
    write(tmp_path / "b", [event(200, [("val/loss", simple(3.0)), ("train/tokens", simple(2e8))])], NAME + ".v2")
    for name, params in (("a", 1e6), ("b", 2e6)):
        (tmp_path / name / "config.json").write_text(json.dumps({"n_params": params}))
    table = read_runs(tmp_path)
    assert [(run.run, run.params, run.tokens, run.loss, run.step) for run in table] == [
        ("a", 1e6, 1e8, 3.5, 100),
        ("b", 2e6, 2e8, 3.0, 200),
    ]
    assert table.runs[0].learning_rate == 0.5
    assert "last evaluation" in table.notes[0]


def test_lightning_keeps_its_settings_in_yaml(tmp_path):
    path = write(tmp_path / "version_0", curve([9.0, 3.5]))
    (path.parent / "hparams.yaml").write_text("n_params: 1000000\nmodel:\n  n_layer: 4\n")
    run = read_runs(path).runs[0]
    assert (run.run, run.params, run.n_layer) == ("version_0", 1e6, 4)


def test_tensors_of_tensorflow(tmp_path):
    floats = block(8, b"\x08\x01" + block(5, struct.pack("<f", 3.5)))
    doubles = block(8, b"\x08\x02" + block(4, struct.pack("<d", 2e8)))
    text = block(8, b"\x08\x07" + block(8, b"words"))
    histogram = block(5, b"\x09" + b"\0" * 8)
    values = [("val/loss", floats), ("tokens", doubles), ("note", text), ("weights", histogram)]
    path = write(tmp_path, [event(10**6, values)])
    assert list(read_scalars(path)) == [("val/loss", 10**6, 3.5), ("tokens", 10**6, 2e8)]


def test_a_record_that_is_still_written_is_left(tmp_path):
    path = write(tmp_path / "a", curve([9.0, 3.5, 3.0]))
    whole = list(read_scalars(path))
    path.write_bytes(path.read_bytes()[:-7])
    assert list(read_scalars(path)) == whole[:-3]


def test_damage_is_named(tmp_path):
    path = write(tmp_path / "a", curve([9.0, 3.5]))
    content = bytearray(path.read_bytes())
    content[-20] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CorruptError, match="is damaged: a wrong checksum at byte"):
        read_runs(tmp_path)
    path.write_bytes(b"no event file at all")
    with pytest.raises(CorruptError, match="damaged or no event file: a wrong checksum at byte 0"):
        read_runs(tmp_path)
    path.write_bytes(record(b"\x12\xff"))
    with pytest.raises(CorruptError, match="holds a record that is no event"):
        read_runs(tmp_path)


def test_params_have_to_come_from_somewhere(tmp_path):
    write(tmp_path / "a", curve([9.0, 3.5]))
    with pytest.raises(InputError, match=r"lacks the column params.*--column params=1\.4B.*config\.json beside each"):
        read_runs(tmp_path)
    assert read_runs(tmp_path, {"params": "1e6"}).runs[0].params == 1e6


def test_the_loss_may_be_named(tmp_path):
    events = [event(step, [("c4/lm", simple(4 - step / 100))]) for step in (0, 100)]
    write(tmp_path, [*events, event(200, [("tokens", simple(1e8))])])
    run = read_runs(tmp_path, {"loss": "c4/lm", "params": "1e6", "tokens": "1e8"}).runs[0]
    assert (run.loss, run.step) == (3.0, 100)


def test_what_tensorboard_writes(tmp_path):
    writer = pytest.importorskip("tensorboard.summary.writer.event_file_writer")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    out = writer.EventFileWriter(str(tmp_path))
    for step, loss in ((0, 9.5), (300, 3.5)):
        out.add_event(Event(step=step, summary=Summary(value=[Summary.Value(tag="val/loss", simple_value=loss)])))
    out.close()
    (path,) = tmp_path.iterdir()
    assert list(read_scalars(path)) == [("val/loss", 0, 9.5), ("val/loss", 300, 3.5)]
