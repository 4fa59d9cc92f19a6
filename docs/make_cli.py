"""Write `cli.md` from the `--help` of every verb, always 100 columns wide and without colours.

python docs/make_cli.py
"""

import io
from pathlib import Path

from rich.console import Console

from chidu.cli import VERBS, app

OUT = Path(__file__).with_name("cli.md")
HEAD = """\
# The command line

Written by `docs/make_cli.py` from `--help`; `make docs` writes it again. Every verb takes `--json`, which prints JSON
on stdout and nothing else; progress and warnings go to stderr. Exit codes: 0 done, 2 the input is at fault, 3 refused,
1 chidu is at fault (see [architecture](architecture.md#the-command-line)).
"""


def help_of(*words: str) -> str:
    """What `chidu WORDS --help` prints."""
    out = io.StringIO()
    app.help_print(list(words), console=Console(file=out, width=100, color_system=None, legacy_windows=False))
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())


def page() -> str:
    """The whole file."""
    parts = [HEAD, f"```text\n{help_of()}\n```\n"]
    parts += [f"## chidu {verb}\n\n```text\n{help_of(verb)}\n```\n" for verb in VERBS]
    return "\n".join(parts)


def main() -> None:
    """Write the file."""
    OUT.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
