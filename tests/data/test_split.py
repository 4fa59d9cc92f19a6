import pytest
from hypothesis import given
from hypothesis import strategies as st

from chidu.data.split import SplitPlan, cut_passages, is_held_out, plan_split, select, split_document

PLAN = SplitPlan(unseen_rate=1 / 8, passage_rate=1 / 8, passage_bytes=512)


def document(number: int) -> bytes:
    return b"".join(b"document %d line %d\n" % (number, line) for line in range(200)).strip()


@given(st.text(max_size=300), st.integers(8, 64))
def test_passages_join_to_the_text_and_are_text(text: str, size: int) -> None:
    raw = text.encode()
    passages = list(cut_passages(raw, size))
    assert b"".join(passages) == raw
    assert "".join(passage.decode() for passage in passages) == text
    assert all(size // 2 - 3 <= len(passage) <= size * 3 // 2 for passage in passages[:-1])


def test_passages_end_at_line_ends_or_spaces() -> None:
    assert all(part.endswith(b"\n") for part in list(cut_passages(b"0123456\n" * 40, 64))[:-1])
    assert all(part.startswith(b" ") for part in list(cut_passages(b" 0123456" * 40, 60))[1:])
    assert list(cut_passages(b"", 64)) == []


def test_every_byte_of_a_document_falls_in_one_split() -> None:
    for number in range(50):
        raw = document(number)
        parts = list(split_document(raw, PLAN))
        assert b"\n".join(text for _, text in parts) == raw
        assert {name for name, _ in parts} == {"unseen"} or "unseen" not in {name for name, _ in parts}


def test_the_rates_are_kept() -> None:
    documents = [document(number) for number in range(400)]
    sizes = {
        split: sum(map(len, select(documents, PLAN, split)))  # type: ignore[arg-type]
        for split in ("train", "passages", "unseen")
    }
    total = sum(sizes.values())
    assert sizes["unseen"] / total == pytest.approx(1 / 8, rel=0.35)
    assert sizes["passages"] / total == pytest.approx(7 / 64, rel=0.35)


def test_the_lot_is_the_texts_own_and_a_higher_rate_keeps_it() -> None:
    texts = [b"text %d" % number for number in range(2000)]
    low = {text for text in texts if is_held_out(text, "passages", 1 / 32)}
    high = {text for text in texts if is_held_out(text + b"\n", "passages", 1 / 16)}
    assert low < high
    assert not low & set(select(texts, SplitPlan(0, 1 / 32, 4096), "train"))
    assert low != {text for text in texts if is_held_out(text, "unseen", 1 / 32)}


@pytest.mark.parametrize(
    ("size", "count", "plan"),
    [
        (30_000_000, 4000, SplitPlan(1 / 64, 1 / 32, 4096)),
        (65_000_000, 8000, SplitPlan(1 / 128, 1 / 64, 4096)),
        (10**10, 10**6, SplitPlan(2**-14, 2**-13, 4096)),
        (67_000_000, 100, SplitPlan(1 / 16, 1 / 64, 4096)),
        (30_000, 10, SplitPlan(1 / 8, 1 / 8, 512)),
    ],
)
def test_the_plan(size: int, count: int, plan: SplitPlan) -> None:
    assert plan_split(size, count) == plan
