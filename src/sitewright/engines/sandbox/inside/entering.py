"""How a copy of the warm parent becomes a process of the sandbox: namespaces, user, privileges, filter, descriptors.

Stand-alone: the distribution's Python runs it, with nothing of the platform but this folder. While it is still root it must import nothing:
the files it sees are the tenant's by then.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal

LIBC = ctypes.CDLL(None, use_errno=True)
_SETNS, _PRCTL, _CAPSET = LIBC.setns, LIBC.prctl, LIBC.capset
_PRCTL.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)

NEW_TIME, NEW_NS, NEW_CGROUP, NEW_UTS, NEW_IPC, NEW_USER, NEW_PID, NEW_NET = (
    0x80,
    0x20000,
    0x2000000,
    0x4000000,
    0x8000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
"""clone(2)."""
WORLD = NEW_NS | NEW_CGROUP | NEW_UTS | NEW_IPC | NEW_NET
"""All that a sandbox has but its processes, which only a child can be among, and its users, whom one becomes last."""
_PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 4, 15, 22, 24, 38, 47
_CAPABILITY_VERSION = 0x20080522
_MOST_CAPABILITIES = 64
_LAST_SIGNAL = 64
_ABOVE = 64


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def prctl(option: int, *values: int) -> None:
    """prctl(2). Raises OSError."""
    filled = (*values, 0, 0, 0, 0)[:4]
    _check(_PRCTL(option, *filled), f"prctl {option}")


def join(pidfd: int, spaces: int) -> None:
    """Enter namespaces of another process. Raises OSError."""
    _check(_SETNS(pidfd, spaces), "setns")


def limit(open_files: int) -> None:
    """As prlimit sets it in an ordinary start."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def filter_calls(program: bytes) -> None:
    """Load the system call filter; b"" is none. Raises OSError."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if program:
        loaded = _Program(len(program) // 8, program)
        prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(loaded))


def become(uid: int, gid: int) -> None:
    """That user for good, without a capability in any set. Raises OSError."""
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    prctl(_PR_CAP_AMBIENT, 4)
    for number in range(_MOST_CAPABILITIES):
        if _PRCTL(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _check(_CAPSET(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())), "capset")


def visible_to_own_user() -> None:
    """Whom the change of user has hidden (/proc/self belongs to root then) is shown again, as after an exec."""
    prctl(_PR_SET_DUMPABLE, 1)


def name(text: str) -> None:
    """The name in /proc/self/comm."""
    buffer = ctypes.create_string_buffer(text.encode()[:15])
    prctl(_PR_SET_NAME, ctypes.addressof(buffer))


def take_descriptors(wanted: tuple[int, ...]) -> None:
    """Those become 0, 1, 2, …, inherited by what is started later; everything else is closed."""
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _ABOVE) for descriptor in wanted]
    for target, source in enumerate(high):
        os.dup2(source, target, inheritable=True)
    os.closerange(len(wanted), os.sysconf("SC_OPEN_MAX"))


def usual_signals() -> None:
    """As Python sets them at its start."""
    for number in range(1, _LAST_SIGNAL + 1):
        if number not in {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, 32, 33}:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
