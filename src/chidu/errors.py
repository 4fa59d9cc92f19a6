"""The exceptions that chidu raises on purpose, and the exit code each of them becomes.

    ChiduError                  anything that chidu knows how to name
    ├── InputError       2      the input is at fault: what, where, what to do about it
    │   └── CorruptError 2      a stored file does not match its checksum, or cannot be read back
    ├── Refusal          3      the input is sound, but these runs cannot answer that question
    └── TrainingError    1      a run that should have finished did not

Any other exception that reaches the command line is a fault of chidu itself and ends with exit code 1.
"""

import errno
import re


class ChiduError(Exception):
    """Base of every exception that chidu raises on purpose; its message is one sentence for a person."""

    exit_code = 1


class InputError(ChiduError):
    """The input is at fault. The message says what is wrong, where (file, row), and what to do."""

    exit_code = 2


class CorruptError(InputError):
    """A stored file is damaged: its checksum, length or structure is not what was written."""


class Refusal(ChiduError):
    """The question cannot be answered from these runs. The message says why, and what would help."""

    exit_code = 3


class TrainingError(ChiduError):
    """A training process ended without its run: killed, out of memory, or a fault of the machine."""


def say_os_error(error: OSError) -> str:
    """One sentence for a failure of the file system: where, what, and what to do about it."""
    # Files are written beside their place first, as `.NAME.PID.tmp`: the user knows the place.
    where = re.sub(r"(^|/)\.([^/]+)\.\d+(\.old)?\.tmp$", r"\1\2", str(error.filename or "the disk"))
    advice: dict[int | None, str] = {
        errno.ENOSPC: "free some space, then give the same command again",
        errno.EDQUOT: "free some space, then give the same command again",
        errno.EFBIG: "raise the limit on the size of files",
        errno.EACCES: "choose another --out, or change its permissions",
        errno.EPERM: "choose another --out, or change its permissions",
        errno.EROFS: "choose another --out",
    }
    return f"{where}: {(error.strerror or str(error)).lower()}; {advice.get(error.errno, 'check the path')}"
