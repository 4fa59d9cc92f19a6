from chidu import page
from chidu.page import Section


def test_texts_from_outside_are_escaped() -> None:
    table = page.table("<t>", ("<a>", "b"), [["<x>", (1.0, "1 <y>")]], sortable=True)
    listed = page.facts([("<n>", "<said>")])
    whole = page.assemble("<title>", [Section("key", "<heading>", "<lead>", table + listed)])
    for name in ("t", "a", "x", "n", "said", "heading", "lead"):
        assert f"&lt;{name}&gt;" in whole
        assert f"<{name}>" not in whole
    assert '<a href="#key">&lt;heading&gt;</a>' in whole


def test_numbers_stand_to_the_right_and_sort_by_value() -> None:
    table = page.table("t", ("name", "n"), [["a", (2.0, "two")], ["b", (float("nan"), "")]])
    assert '<th scope="col" class="number">n</th>' in table
    assert 'data-value="2.0">two' in table
    assert 'data-value="">' in table
    assert "sortable" not in table
