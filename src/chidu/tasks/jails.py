"""The two ways to shut a program in, as command lines: bubblewrap, and `unshare` with a script that does the same.

Root becomes a user of a number of its own a process, for the kernel counts processes by user and never counts root's;
anybody else gets a user namespace. Either way the program has no capabilities and cannot regain any.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PYTHON_HOME = "/python"
"""Where the interpreter's own folder is seen inside, if it lies outside /usr."""
FIRST_USER, USERS = 600_000, 100_000
"""Numbers that no real user has."""

START = """
import os, resource, sys
words = sys.argv[1:]
while words[0] != "--":
    name, value = words.pop(0).split("=")
    resource.setrlimit(getattr(resource, "RLIMIT_" + name), (int(value), int(value)))
user = int(words[1])
if user:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
os.execv(words[2], words[2:])
"""
"""Runs inside: sets the limits, becomes the unprivileged user, and gives way to the program."""


@dataclass(frozen=True)
class Jail:
    """A way to shut a program in."""

    name: str
    needs: tuple[str, ...]
    """Programs that it is made of."""

    def missing(self) -> str | None:
        """The first of its programs that is not installed."""
        return next((program for program in self.needs if shutil.which(program) is None), None)

    def command(self, program: Path, limits: Mapping[str, int]) -> list[str]:
        """The command that runs a program's file inside; `limits` by the names of rlimits, and `disk`."""
        return _bubblewrap(program, limits) if self.name == "bubblewrap" else _unshare(program, limits)


def interpreter() -> tuple[Path | None, str]:
    """The interpreter's folder, where it must be bound, and the interpreter's path inside."""
    base = Path(sys.base_prefix).resolve()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if base == Path("/usr"):
        return None, f"/usr/bin/{version}"
    return base, f"{PYTHON_HOME}/bin/{version}"


def _python(limits: Mapping[str, int], user: int) -> list[str]:
    """The interpreter twice: once to set the limits, once to run the program."""
    _, python = interpreter()
    flags = ["-I", "-S", "-B"]
    numbers = dict(limits)
    numbers.pop("disk")
    if not user:
        numbers["NPROC"] += _own_processes()
    pairs = [f"{name}={value}" for name, value in numbers.items()]
    return [python, *flags, "-c", START, *pairs, "--", str(user), python, *flags, "/program.py"]


def _user() -> int:
    """The number to become: one of its own where we are root, 0 where a user namespace does it."""
    if os.geteuid() != 0:
        return 0
    return FIRST_USER + int.from_bytes(os.urandom(4), "big") % USERS


def _own_processes() -> int:
    """Threads that this user runs already: the kernel counts those with the program's."""
    mine = os.getuid()
    total = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if folder.stat().st_uid == mine:
                    total += len(list((folder / "task").iterdir()))
            except OSError:
                continue
    return total


def _bubblewrap(program: Path, limits: Mapping[str, int]) -> list[str]:
    """See the manual page bwrap(1). As root no user namespace is made, so that the switch of user is a real one."""
    home, _ = interpreter()
    user = _user()
    scratch = str(limits["disk"])
    line = ["bwrap", "--die-with-parent", "--new-session", "--clearenv"]
    line += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    line += ["--cap-drop", "ALL"]
    if user:
        line += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        line += ["--unshare-user"]
    line += ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if Path("/", name).is_dir():
            line += ["--symlink", f"usr/{name}", f"/{name}"] if Path("/", name).is_symlink() else _bind(Path("/", name))
    if home is not None:
        line += ["--ro-bind", str(home), PYTHON_HOME, "--setenv", "LD_LIBRARY_PATH", f"{PYTHON_HOME}/lib"]
    line += ["--proc", "/proc", "--dev", "/dev", "--size", "65536", "--perms", "1777", "--tmpfs", "/dev/shm"]
    line += ["--size", scratch, "--perms", "1777", "--tmpfs", "/tmp", "--ro-bind", str(program), "/program.py"]
    line += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "--setenv", "HOME", "/tmp", "--"]
    return [*line, *_python(limits, user)]


def _bind(folder: Path) -> list[str]:
    return ["--ro-bind", str(folder), str(folder)]


SCRIPT = """
set -eu
root=$1 program=$2 home=$3 disk=$4
shift 4
mount --make-rprivate /
mount -t tmpfs -o size=1m,mode=755,nosuid none "$root"
cd "$root"
mkdir usr python tmp dev
bind() { mount --rbind "$1" "$2"; mount -o remount,bind,ro,nosuid,nodev "$2"; }
bind /usr usr
for name in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$name" ]; then ln -s "usr/$name" "$name"
    elif [ -d "/$name" ]; then mkdir "$name"; bind "/$name" "$name"; fi
done
if [ -n "$home" ]; then bind "$home" python; fi
touch program.py
bind "$program" program.py
for name in null zero random urandom; do touch "dev/$name"; mount --bind "/dev/$name" "dev/$name"; done
mount -t tmpfs -o "size=$disk,mode=1777,nosuid,nodev" none tmp
mount -o remount,bind,ro,nosuid .
mkdir -p tmp/old
pivot_root . tmp/old
cd /tmp
LD_LIBRARY_PATH=/python/lib "$1" -I -S -c "$LEAVE"
rmdir /tmp/old
exec env -i HOME=/tmp LD_LIBRARY_PATH=/python/lib \
    setpriv --no-new-privs --inh-caps=-all --bounding-set=$KEEP "$@"
"""
"""Builds the file system inside: the same folders as bubblewrap's, without /proc, and nothing of the old root."""
LEAVE = 'import ctypes, sys; sys.exit(ctypes.CDLL(None).umount2(b"/tmp/old", 2))'
"""Detaches the old root: umount(8) would have to look it up in /proc, which is not there."""


def _unshare(program: Path, limits: Mapping[str, int]) -> list[str]:
    """`unshare` makes the namespaces, a shell script the file system, `setpriv` takes the capabilities away."""
    home, _ = interpreter()
    user = _user()
    line = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--ipc", "--uts"]
    if not user:
        line += ["--user", "--map-root-user"]
    script = f"LEAVE='{LEAVE}'\nKEEP={'-all,+setuid,+setgid' if user else '-all'}\n{SCRIPT}"
    where = [str(program.parent / "root"), str(program), str(home or ""), str(limits["disk"])]
    (program.parent / "root").mkdir(exist_ok=True)
    return [*line, "sh", "-c", script, "sh", *where, *_python(limits, user)]


JAILS = (Jail("bubblewrap", ("bwrap",)), Jail("unshare", ("unshare", "setpriv", "mount", "pivot_root", "sh")))
"""In the order of preference."""
