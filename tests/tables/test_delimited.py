import csv
import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chidu.errors import InputError
from chidu.tables.delimited import read_delimited, read_rows
from chidu.tables.read import read_runs


def write(folder, text, encoding="utf-8"):
    path = folder / "runs.csv"
    path.write_bytes(text.encode(encoding))
    return path


def values(table):
    return [(run.params, run.tokens, run.loss) for run in table]


TWO = [(1e6, 2e7, 3.52), (2.5e6, 4e7, 3.2)]


@pytest.mark.parametrize(
    "text",
    [
        "params,tokens,loss\n1e6,2e7,3.52\n2.5e6,4e7,3.2\n",
        "\ufeffparams,tokens,loss\r\n1e6,2e7,3.52\r\n2.5e6,4e7,3.2\r\n",
        "params\ttokens\tloss\n1e6\t2e7\t3.52\n2.5e6\t4e7\t3.2",
        "params;tokens;loss\n1e6;2e7;3.52\n2.5e6;4e7;3.2\n",
        "params;tokens;loss\n1000000;20000000;3,52\n2500000;40000000;3,2\n",
        "params;tokens;loss\n1.000.000;20.000.000;3,52\n2.500.000;40.000.000;3,2\n",
        "params;tokens;loss\n1 000 000;20 000 000;3,52\n2\u202f500\u202f000;40\u00a0000\u00a0000;3,2\n",
        "params;tokens;loss\n1,000,000;20,000,000;3.52\n2,500,000;40,000,000;3.2\n",
        'params,tokens,loss\n"1,000,000","20,000,000",3.52\n"2,500,000","40,000,000",3.2\n',
        'params,tokens,loss\n1e6,2e7,"3,52"\n2500000,4e7,"3,2"\n',
        "params,tokens,loss,,\n1e6,2e7,3.52,,\n\n2.5e6,4e7,3.2,,\n,,,,\n",
        ",params,tokens,loss\n0,1e6,2e7,3.52\n1,2.5e6,4e7,3.2\n",
        "params,tokens,loss\n1M,20M,3.52,\n2.5M,40M,3.2,,\n",
        "\n\nparams,tokens,loss\n1e6,2e7,3.52\n2.5e6,4e7,3.2\n",
        '"params","tokens","loss"\n"1e6","2e7","3.52"\n"2.5e6","4e7","3.2"\n',
    ],
    ids=lambda text: text[:24].encode("unicode_escape").decode(),
)
def test_one_table_written_in_many_ways(text, tmp_path):
    assert values(read_runs(write(tmp_path, text))) == TWO


def test_decimal_commas_are_said_where_they_are_read(tmp_path):
    semicolons = write(tmp_path, "params;tokens;loss\n1e6;2e7;3,521\n")
    assert values(read_runs(semicolons)) == [(1e6, 2e7, 3.521)]
    assert "commas in numbers are read as decimal commas" in read_runs(semicolons).notes
    plain = write(tmp_path, 'params,tokens,loss\n"1,000,000",2e7,3.521\n')
    assert not any("comma" in note for note in read_runs(plain).notes)


def test_commas_of_two_kinds_are_refused(tmp_path):
    path = write(tmp_path, 'params,tokens,loss\n"1,000,000",2e7,"3,52"\n')
    with pytest.raises(InputError, match="decimal in 3,52 but groups thousands in 1,000,000; write all numbers in one"):
        read_runs(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("params,tokens,loss,loss\n1,2,3,4\n", "has the column loss twice; rename or delete one"),
        ("params,tokens,loss\n1,2,3,4\n", "row 2: 4 values under 3 column names"),
        ("params,tokens,loss\n\n1,2\n", "row 3: 2 values under 3 column names"),
        ("1e6,2e7,3.5\n2e6,4e7,3.2\n", "has no header: its first row is numbers"),
        ("\n\n", "is empty"),
        ("params,tokens,loss\n" + "9" * 400 + ",2,3\n", rf"row 2: params is {'9' * 40}\.\.\., not a finite number"),
    ],
)
def test_what_cannot_be_read_is_named(text, words, tmp_path):
    with pytest.raises(InputError, match=words):
        read_runs(write(tmp_path, text))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_other_encodings_are_named(encoding, tmp_path):
    path = write(tmp_path, "run,params,tokens,loss\nkü,1e6,2e7,3\n", encoding)
    with pytest.raises(InputError, match=r"not text in UTF-8 but in UTF-16|binary|not text"):
        read_runs(path)


def test_lines_are_those_of_the_file(tmp_path):
    path = write(tmp_path, 'run,params,tokens,loss\n"a\nb",1e6,2e7,3\n\nc,1e6,2e7,3\n')
    assert read_runs(path).lines == (3, 5)
    rows, header = read_rows(path)
    assert header == ["run", "params", "tokens", "loss"]
    assert rows[1] == (5, {"run": "c", "params": "1e6", "tokens": "2e7", "loss": "3"})


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=8)
names = cells.map(lambda cell: " ".join(cell.split())).filter(bool)


@settings(deadline=None, max_examples=50)
@given(header=st.lists(names, min_size=2, max_size=4, unique=True), data=st.data())
def test_any_text_reads_back(header, data, tmp_path_factory):
    rows = data.draw(st.lists(st.lists(cells, min_size=len(header), max_size=len(header)), max_size=4))
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    sheet = read_delimited(tmp_path_factory.getbasetemp() / "x.csv", out.getvalue())
    kept = [row for row in rows if any(cell.strip() for cell in row)]
    if sheet.delimiter == ",":
        assert sheet.header == tuple(header)
        assert [list(row.values()) for _, row in sheet.rows] == kept


def test_a_large_table_is_read_at_once(tmp_path):
    row = "{0},1.5e8,3e9,3.{0},2.7e18,0.0003,{0},512,12,524288,web,x,y,z\n"
    head = "name,params,tokens,val_loss,flops,lr,seed,width,depth,batch_tokens,group,p,q,r\n"
    path = write(tmp_path, head + "".join(row.format(i) for i in range(1, 5001)))
    start = time.process_time()
    assert len(read_runs(path)) == 5000
    assert time.process_time() - start < 1.0
