"""Twenty programs that mean harm, each with the statuses that count as contained and what it must not have printed.

A program prints ESCAPED where it got what it wanted. `secret` and `port` stand for a file of the host, an environment
variable and a listening socket of the test.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hostile:
    """A program and how it may end."""

    program: str
    ends: tuple[str, ...]


HOSTILE = {
    "fork bomb": Hostile(
        """
import os
n = 0
try:
    while True:
        if os.fork() == 0:
            import time; time.sleep(60)
        n += 1
        if n > 200:
            print("ESCAPED"); break
except OSError:
    print("refused after", n)
""",
        ("passed",),
    ),
    "doubling fork bomb": Hostile("import os\nwhile True:\n    os.fork()\n", ("failed", "time", "output")),
    "thread bomb": Hostile(
        """
import threading, time
try:
    for n in range(500):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    print("ESCAPED")
except RuntimeError:
    print("refused")
""",
        ("passed",),
    ),
    "memory hog": Hostile("data = b'x' * (4 << 30)\nprint('ESCAPED')", ("memory",)),
    "slow memory hog": Hostile(
        "held = []\nwhile True:\n    held.append(bytearray(b'x' * (8 << 20)))\n    "
        "if len(held) > 500: print('ESCAPED'); break",
        ("memory", "time"),
    ),
    "memory hog of many processes": Hostile(
        """
import os, time
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(b"x" * (100 << 20))
        time.sleep(60)
time.sleep(60)
""",
        ("memory", "time"),
    ),
    "reader of the host's files": Hostile(
        "for path in ('/etc/passwd', '/etc/hostname', '/root/.bashrc', '/home', '{secret}'):\n"
        "    try:\n        open(path).read(); print('ESCAPED', path)\n    except OSError: pass",
        ("passed",),
    ),
    "writer of the system's files": Hostile(
        "import os\nfor path in ('/usr/bin/x', '/python/x', '/program.py', '/x', '/dev/x', '/dev/shm/../x'):\n"
        "    try:\n        open(path, 'w').write('x'); print('ESCAPED', path)\n    except OSError: pass\n"
        "try:\n    os.remove('/program.py'); print('ESCAPED')\nexcept OSError: pass",
        ("passed",),
    ),
    "opener of sockets": Hostile(
        """
import socket
for address in (("127.0.0.1", {port}), ("10.0.0.1", 80), ("1.1.1.1", 53)):
    try:
        socket.create_connection(address, 1); print("ESCAPED", address)
    except OSError: pass
""",
        ("passed",),
    ),
    "child that outlives its parent": Hostile(
        """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1.5)
        print("ESCAPED", flush=True)
        time.sleep(60)
    os._exit(0)
print("parent leaves")
""",
        ("passed",),
    ),
    "flood of output": Hostile("while True: print('x' * 1000)", ("output",)),
    "flood of errors": Hostile("import sys\nwhile True: sys.stderr.write('x' * 1000)", ("output",)),
    "blocker of signals": Hostile(
        """
import signal
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
while True: pass
""",
        ("time",),
    ),
    "sleeper": Hostile("import time\ntime.sleep(1000)\nprint('ESCAPED')", ("time",)),
    "closer of its pipes": Hostile(
        "import os, time\nos.close(1); os.close(2)\ntime.sleep(1000)",
        ("time",),
    ),
    "reader of /proc": Hostile(
        """
import glob, os
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try:
        if b"{secret}" in open(path, "rb").read(): print("ESCAPED", path)
    except OSError: pass
if len(glob.glob("/proc/[0-9]*")) > 4: print("ESCAPED: other processes")
if any("SECRET" in name for name in os.environ): print("ESCAPED: environment")
for path in ("/proc/sysrq-trigger", "/proc/sys/kernel/hostname"):
    try:
        open(path, "w").write("x"); print("ESCAPED", path)
    except OSError: pass
""",
        ("passed",),
    ),
    "filler of the disk": Hostile(
        """
n = 0
try:
    for n in range(400):
        open(f"/tmp/{{n}}", "wb").write(b"x" * (1 << 19))
    print("ESCAPED")
except OSError:
    print("refused after", n)
""",
        ("passed",),
    ),
    "writer of one huge file": Hostile(
        """
try:
    with open("/tmp/huge", "wb") as file:
        for _ in range(64): file.write(b"x" * (1 << 20)); file.flush()
    print("ESCAPED")
except OSError:
    print("refused")
""",
        ("passed", "failed"),
    ),
    "climber to root": Hostile(
        """
import ctypes, os, subprocess
libc = ctypes.CDLL(None, use_errno=True)
for call in (lambda: os.setuid(0), lambda: os.chroot("/tmp"), lambda: os.mknod("/tmp/sda", 0o60600, 0x800)):
    try:
        call(); print("ESCAPED") if os.getuid() == 0 and os.path.exists("/tmp/sda") else None
    except OSError: pass
if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0: print("ESCAPED: mount")
if libc.sethostname(b"x", 1) == 0: print("ESCAPED: hostname")
for line in (["su", "-c", "id"], ["sudo", "-n", "id"], ["mount", "-o", "remount,rw", "/usr"]):
    try:
        if subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=2).returncode == 0:
            print("ESCAPED", line)
    except (OSError, subprocess.TimeoutExpired): pass
""",
        ("passed",),
    ),
    "killer of others": Hostile(
        """
import os, signal
for pid in [*range(2, 2000), -1]:
    if pid != os.getpid():
        try: os.kill(pid, signal.SIGKILL)
        except OSError: pass
print("done")
""",
        ("passed", "failed"),
    ),
}
