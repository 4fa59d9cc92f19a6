"""Progress goes to stderr, as lines where that is no terminal, and never to stdout."""

import pytest

from chidu.ladder.launcher import Progress
from chidu.terminal import LINE_SECONDS, Terminal


def progress(seconds: float, part: float) -> Progress:
    return Progress(done=3, total=8, part=part, seconds=seconds, seconds_left=240.0, device_seconds=2 * seconds)


def test_a_text_is_shown_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    text = "width 16: [bold]best[/bold] rate\n  a second line that is longer than any terminal " + "wide " * 40
    with Terminal() as terminal:
        terminal.say(text)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == text + "\n"


def test_work_is_told_in_lines_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as terminal:
        tell = terminal.work("ladder")
        for seconds in range(0, 70, 5):
            tell(progress(float(seconds), seconds / 100))
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1 + 65 // LINE_SECONDS
    assert lines[1].startswith("ladder: 30%, 3 of 8 runs, about 4 min left, $0.0")


def test_no_time_is_made_up(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as terminal:
        terminal.work("ladder")(Progress(0, 6, 0.0, 0.1, 1e15, 0.2))
    assert capsys.readouterr().err == "ladder: 0%, 0 of 6 runs, unknown time left, $0.000 so far\n"


def test_shares_say_nothing_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as terminal:
        tell = terminal.share("data")
        tell("reading text", 0.5)
        tell("reading text", 1.0)
    assert capsys.readouterr() == ("", "")


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal(quiet=True) as terminal:
        terminal.say("a sentence")
        terminal.share("data")("reading text", 0.5)
        terminal.work("ladder")(progress(1.0, 0.5))
    assert capsys.readouterr() == ("", "")
