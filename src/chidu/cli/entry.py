"""Where the `chidu` command starts and ends: every end is an exit code and, where it failed, one sentence.

Exit codes: 0 done; 2 the input is at fault; 3 refused; 1 chidu is at fault (see `chidu.errors`).
"""

import sys
from collections.abc import Sequence

from cyclopts import CycloptsError
from rich.console import Console

from chidu.cli.app import app
from chidu.cli.options import drop_output, fail
from chidu.errors import ChiduError, say_os_error

EXTRAS = {
    **dict.fromkeys(("torch", "safetensors", "tokenizers", "tiktoken"), "train"),
    "transformers": "hf",
    "lm_eval": "lmeval",
    **dict.fromkeys(("sklearn", "sacrebleu", "rouge_score"), "metrics"),
}
"""Packages that a verb may miss, and the extra that brings each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; no traceback reaches a user unless CHIDU_DEBUG is set."""
    try:
        app(
            arguments if arguments is not None else sys.argv[1:],
            exit_on_error=False,
            print_error=False,
            error_console=Console(stderr=True),
            result_action="return_value",
        )
        sys.stdout.flush()
    except CycloptsError as error:
        return fail(2, str(error).strip().replace("\n", " "))
    except ChiduError as error:
        return fail(error.exit_code, str(error))
    except KeyboardInterrupt:
        return fail(130, "stopped; the same command goes on where it was")
    except BrokenPipeError:
        drop_output()
        return 0
    except OSError as error:
        drop_output()
        return fail(2, say_os_error(error))
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            return fail(1, f"a fault of chidu itself: {error}; CHIDU_DEBUG=1 shows where", error)
        return fail(2, f"this needs {error.name}, which the light install leaves out: pip install 'chidu[{extra}]'")
    except Exception as error:
        return fail(1, f"a fault of chidu itself: {type(error).__name__}: {error}; CHIDU_DEBUG=1 shows where", error)
    return 0
