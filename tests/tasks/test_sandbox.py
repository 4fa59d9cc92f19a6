"""Honest programs run, hostile ones are contained and reported, and without a jail nothing runs."""

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hostile import HOSTILE
from shared_files import shared

from chidu.errors import Refusal
from chidu.tasks import sandbox
from chidu.tasks.coding import Coding, count_passed
from chidu.tasks.example import Example, Prediction
from chidu.tasks.jails import JAILS, Jail
from chidu.tasks.sandbox import Limits, Outcome, run_program, run_programs, try_jail

SHORT = Limits(wall_seconds=4.0, cpu_seconds=2, memory_bytes=256 << 20)
SECRET = "quince-1729"
OWN = f"jails-{os.getpid()}"
"""Where the jails of this test are: others may run programs on the machine too."""
WORKING = [jail for jail in JAILS if try_jail(jail) is None]

needs_jail = pytest.mark.skipif(not WORKING, reason="neither bubblewrap nor unshare works on this machine")


def names(jail: Jail) -> str:
    return jail.name


@pytest.fixture(scope="module", params=WORKING, ids=names)
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """All hostile programs in one jail, with a secret in the environment and a socket that listens."""
    secret = tmp_path_factory.mktemp(SECRET) / "file"
    secret.write_text("secret")
    os.environ["CHIDU_SECRET"] = SECRET
    tempfile.tempdir = str(tmp_path_factory.mktemp(OWN))
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(6) as pool:
        port = server.getsockname()[1]
        programs = {
            name: hostile.program.replace("{secret}", SECRET if "/proc" in name else str(secret))
            .replace("{port}", str(port))
            .replace("{{", "{")
            .replace("}}", "}")
            for name, hostile in HOSTILE.items()
        }
        ran = pool.map(lambda program: run_program(program, SHORT, request.param), programs.values())
        yield dict(zip(programs, ran, strict=True))
    del os.environ["CHIDU_SECRET"]
    tempfile.tempdir = None


def test_there_are_twenty() -> None:
    assert len(HOSTILE) == 20


@pytest.mark.parametrize("name", HOSTILE)
@needs_jail
def test_a_hostile_program_is_contained_and_reported(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[name]
    assert "ESCAPED" not in outcome.output, outcome
    assert "Error" not in outcome.errors or outcome.status != "passed", outcome.errors
    assert outcome.status in HOSTILE[name].ends, outcome
    assert outcome.seconds < SHORT.wall_seconds + 3
    assert len(outcome.output) <= SHORT.output_bytes


@needs_jail
def test_nothing_is_left_running(outcomes: dict[str, Outcome]) -> None:
    time.sleep(0.1)
    left = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if b"/program.py" in line and OWN.encode() in line:
                left.append(line)
    assert left == []


@pytest.mark.parametrize("jail", WORKING, ids=names)
def test_an_honest_program_runs(jail: Jail) -> None:
    program = "import json, math, re, collections, sys\nprint(math.pi)\nsys.stderr.write('noted')"
    outcome = run_program(program, Limits(), jail)
    assert outcome.status == "passed"
    assert outcome.output.startswith("3.14")
    assert outcome.errors == "noted"
    assert str(outcome).startswith("passed after 0.") or outcome.seconds > 1


@pytest.mark.parametrize("jail", WORKING, ids=names)
def test_a_fault_is_reported(jail: Jail) -> None:
    outcome = run_program("1 / 0", Limits(), jail)
    assert outcome.status == "failed"
    assert outcome.exit_code == 1
    assert "ZeroDivisionError" in str(outcome)
    assert outcome.to_json()["status"] == "failed"


@needs_jail
def test_outcomes_come_in_order() -> None:
    ran = run_programs([f"print({i})" for i in range(5)])
    assert [outcome.output for outcome in ran] == [f"{i}\n" for i in range(5)]


@needs_jail
def test_leaving_before_the_tests_is_no_pass() -> None:
    example = Example(source="def f():\n", targets=("    return 1\n",), check="assert f() == 1")
    answers = [
        "    return 1\n",
        "    return 2\n",
        "    return 2\nimport os\nos._exit(0)\n",
        "    return 2\nraise SystemExit\n",
    ]
    predictions = [Prediction(text=answers[0], samples=tuple(answers))]
    assert count_passed([example], predictions, Limits()) == [1]


@needs_jail
@pytest.mark.parametrize("name", ["humaneval.test", "mbpp.test", "mbpp.train"])
def test_reference_solutions_pass(name: str) -> None:
    examples = Coding().examples(shared(f"{name}.jsonl.gz"))[::25]
    answers = [Prediction(text=example.targets[0]) for example in examples]
    assert count_passed(examples, answers, Limits()) == [1] * len(examples)


def test_without_a_jail_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "JAILS", (Jail("bubblewrap", ("no-such-program-1",)), Jail("unshare", ("no-such-2",))))
    sandbox.find_jail.cache_clear()
    with pytest.raises(Refusal, match="no-such-program-1 is not installed; unshare: no-such-2 is not installed"):
        run_program("print(1)")
    sandbox.find_jail.cache_clear()
