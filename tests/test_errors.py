import inspect
import re

import pytest

from chidu import errors
from chidu.errors import ChiduError, CorruptError, InputError, Refusal, TrainingError

CODES = {ChiduError: 1, InputError: 2, CorruptError: 2, Refusal: 3, TrainingError: 1}


@pytest.mark.parametrize(("error", "code"), CODES.items())
def test_exit_codes(error: type[ChiduError], code: int):
    assert error("why").exit_code == code
    assert str(error("why")) == "why"


def test_the_drawing_shows_the_tree():
    """Names, parents (by their indentation) and exit codes in the docstring are those of the classes."""
    drawn, above = {}, {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"([ │├└─]*)(\w+) +(\d?) +\w", line):
            depth = len(found[1]) // 4
            above[depth] = found[2]
            drawn[found[2]] = (above.get(depth - 1), found[3])
    classes = dict(inspect.getmembers(errors, inspect.isclass))
    assert drawn.pop("ChiduError") == (None, "")
    assert drawn.keys() == classes.keys() - {"ChiduError"}
    for name, (parent, code) in drawn.items():
        assert (classes[name].__base__.__name__, str(classes[name].exit_code)) == (parent, code)


def test_a_failed_write_names_the_place_and_not_the_file_beside_it() -> None:
    said = errors.say_os_error(OSError(28, "No space left on device", "/lab/.runs.csv.4711.tmp"))
    assert said == "/lab/runs.csv: no space left on device; free some space, then give the same command again"
    assert errors.say_os_error(OSError(13, "Permission denied", "x/.y")).startswith("x/.y: permission denied")
