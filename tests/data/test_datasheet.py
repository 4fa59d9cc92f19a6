from chidu.data.corpus import Corpus, FileCount
from chidu.data.datasheet import count_dropped, count_scripts, describe_sources, versions


def test_scripts_are_shares_of_characters() -> None:
    assert count_scripts(["ab是，1 αж\n\n".encode()]) == {
        "space": 0.3,
        "Latin": 0.2,
        "Han": 0.1,
        "punctuation and symbols": 0.1,
        "digits": 0.1,
        "Greek": 0.1,
        "Cyrillic": 0.1,
    }
    assert count_scripts([]) == {}


def test_sources_are_summed_and_their_files_listed(tmp_path) -> None:
    many = [FileCount(f"s/{number}.txt", "s", 1, 10, 9) for number in range(200)]
    many[7].drop("empty")
    alone = FileCount("a.jsonl", "a.jsonl", 2, 5, 5, "text", dropped={"empty": 1, "duplicate": 2})
    files = (*many, alone)
    first, second = describe_sources(Corpus(tmp_path, (), files))
    assert (first["files"], first["documents"], first["bytes"], first["characters"]) == (200, 200, 2000, 1800)
    assert [file["name"] for file in first["listed"]] == ["s/7.txt"]
    assert second["listed"] == [
        {
            "name": "a.jsonl",
            "documents": 2,
            "bytes": 5,
            "characters": 5,
            "text_field": "text",
            "dropped": {"empty": 1, "duplicate": 2},
        }
    ]
    assert count_dropped(files) == {"duplicate": 2, "empty": 2}


def test_versions_name_what_made_it() -> None:
    assert {"python", "chidu", "numpy", "tokenizers", "tiktoken"} == set(versions())
