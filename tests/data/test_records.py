import re
from pathlib import Path

import pytest

from chidu.data.records import choose_field, csv_rows, json_records, jsonl_records, records_text
from chidu.data.sources import Reading
from chidu.errors import InputError

PATH = Path("some.file")


def texts(records, reading=None) -> list[str]:
    return list(records_text(PATH, records, reading or Reading()))


def test_a_known_field_wins_over_a_longer_one() -> None:
    reading = Reading()
    lines = ['{"html": "<p>long long</p>", "Text": "a"}\n', "\n", '{"html": "", "Text": null}\n', '"bare"\n']
    assert texts(jsonl_records(PATH, lines), reading) == ["a", "", "bare"]
    assert reading.text_field == "Text"


def test_the_longest_field_over_many_records_is_the_text() -> None:
    assert choose_field([{"en": "a long one", "de": "ein"}, {"en": "b", "de": "ein sehr langer Satz"}]) == "de"
    assert choose_field([{"n": 1}]) is None


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"text": "b"', "line 2: not valid JSON"),
        ('{"other": "b"}', 'line 2: no text in the field "text"'),
        ('{"text": 3}', 'line 2: no text in the field "text"'),
        ("[1]", 'line 2: no text in the field "text"'),
        ("[" * 100_000, "line 2: not valid JSON"),
    ],
)
def test_a_bad_line_is_named(line: str, what: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"some.file, {what}")):
        texts(jsonl_records(PATH, ['{"text": "a"}\n', line]))


def test_records_without_any_text() -> None:
    with pytest.raises(InputError, match="record 1: no field of text"):
        texts(json_records('[{"n": 1}]'))


@pytest.mark.parametrize(
    "text",
    ['["a", "b"]', '[{"text": "a"}, {"text": "b"}]', '{"n": 2, "data": [{"text": "a"}, {"text": "b"}]}'],
)
def test_shapes_of_json(text: str) -> None:
    assert texts(json_records(text)) == ["a", "b"]


def test_one_object_is_one_record() -> None:
    assert texts(json_records('{"text": "a", "tags": ["x"]}')) == ["a"]


def test_csv_with_quotes_and_tabs() -> None:
    assert texts(csv_rows(PATH, ["id,body\n", '1,"a\n', 'b, c"\n', "\n", "2,d\n"])) == ["a\nb, c", "d"]
    assert texts(csv_rows(PATH, ["id\tbody\n", "1\ta, b\n"])) == ["a, b"]
    assert texts(csv_rows(PATH, [])) == []
    assert len(texts(csv_rows(PATH, ["body\n", "x" * 300_000]))[0]) == 300_000


@pytest.mark.parametrize(
    ("rows", "what"),
    [(["1,2,3\n"], "row 2: 3 values under 2 column names"), (['1,"open\n'], "row 2: not valid CSV")],
)
def test_a_bad_row_is_named(rows: list[str], what: str) -> None:
    with pytest.raises(InputError, match=what):
        texts(csv_rows(PATH, ["id,body\n", *rows]))
