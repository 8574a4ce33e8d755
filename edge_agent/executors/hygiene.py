"""What a child does to itself before it meets a tenant's work.

It dies with the agent, keeps nothing it was not given, cannot reach the network where the kernel
allows to say so, writes no core file, and yields to the owner's own programs.
"""

import ctypes
import os
import resource
import signal

OPEN_FILES_MAX = 256
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def confine(parent: int, *, niceness: int) -> None:
    """Apply all of it to this process; ``parent`` is the agent's process id."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the agent ended before the line above took hold
        os._exit(1)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.nice(niceness)
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES_MAX)
    # Where user namespaces are off this fails and the work still has no means to open a socket:
    # WASI gives none and an ONNX graph has no such operator. It is the second wall, not the first.
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def limit_file_size(size_bytes: int) -> None:
    """No file that this process writes may grow beyond; writes fail then."""
    _soft(resource.RLIMIT_FSIZE, size_bytes)


def limit_data(size_bytes: int) -> None:
    """Bound writable private memory, which counts what is asked for, not what is touched."""
    _soft(resource.RLIMIT_DATA, size_bytes)


def unlimited() -> int:
    """The value that stands for no limit."""
    return resource.RLIM_INFINITY


def _lower(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (bound, bound))


def _soft(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = hard if value == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, hard))


def own_memory(key: str) -> int:
    """A size of this process from /proc/self/status (``VmData``, ``VmHWM``) in bytes, 0 unknown."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def reset_memory_peak() -> None:
    """Start ``VmHWM`` anew (proc(5), clear_refs 5); without effect where that is not allowed."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass
