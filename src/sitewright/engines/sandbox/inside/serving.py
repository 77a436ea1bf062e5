"""The last step of a warm start: become the server, as if its command had been run. Stand-alone, see entering.py."""

from __future__ import annotations

import builtins
import ctypes
import gc
import importlib.machinery
import os
import signal
import sys
import time
import types
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sitewright.engines.sandbox.inside import entering, rehearsal, sameness
else:
    import entering
    import rehearsal
    import sameness

_OWN = ("entering", "rehearsal", "sameness", "serving")
_FOLDER_OPTIONS = ("--chdir", "--pythonpath", "--app-dir")
_PR_SET_MM, _PR_SET_MM_MAP = 35, 14


class Place:
    """The sandbox to go into, and as whom; ``ahead``: the site is not wanted yet, there is time."""

    def __init__(self, asked: dict[str, object]) -> None:
        self.uid = int(str(asked["uid"]))
        self.inside_uid = int(str(asked["inside_uid"]))
        self.open_files = int(str(asked["open_files"]))
        self.workdir = str(asked["workdir"])
        self.filter = bytes.fromhex(str(asked["filter"]))
        self.ahead = bool(asked["ahead"])


class Job:
    """What to become there: ``argv`` of the server, ``command`` of the ordinary start, variables, folder; ``same``: see ``prepare``."""

    def __init__(self, asked: dict[str, object]) -> None:
        self.same = asked["same"]
        self.argv: list[str] = list(asked["argv"])  # type: ignore[call-overload]
        self.command = str(asked["command"])
        self.workdir = str(asked["workdir"])
        self.env: dict[str, str] = dict(asked["env"])  # type: ignore[call-overload]


def ordinary(job: Job) -> None:
    """Run the command as an ordinary start does. Does not return."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execve("/bin/sh", ["/bin/sh", "-c", job.command], job.env)
    except OSError as error:
        os.write(2, f"/bin/sh: {error}\n".encode())
        os._exit(127)


def prepare(job: Job, snapshot: sameness.Snapshot) -> tuple[types.CodeType, str]:
    """Make sure that all imported modules are the tenant's, and read the server's script; with it by what the next start knows that they
    still are, "" for nothing. Raises sameness.OrdinaryStartError, OSError."""
    program, arguments = f"{sameness.ENVIRONMENT}/bin/{job.argv[0]}", job.argv[1:]
    if any(argument.startswith(_FOLDER_OPTIONS) for argument in arguments):
        raise sameness.OrdinaryStartError("a folder option")
    sameness.check_variables(job.env)
    sameness.check_shadows(snapshot, (job.workdir, os.path.dirname(program)))
    same = sameness.state_of_files(snapshot)
    different = sameness.different_packages(snapshot, job.env, unread=bool(same) and same == job.same)
    with open(program, "rb") as file:
        text = file.read()
    if not text.startswith((b"#!/app/.venv/bin/python\n", b"#!/app/.venv/bin/python3\n")):
        raise sameness.OrdinaryStartError(program)
    script = compile(text, program, "exec", dont_inherit=True)
    sameness.forget(snapshot, different)
    return script, "" if different else same


def serve(job: Job, script: types.CodeType) -> None:
    """Run the server's script as the main program. Returns or raises what it does."""
    program = script.co_filename
    os.environ.clear()
    os.environ.update(job.env)
    # A command that names the descriptor itself is not told of it a second time: gunicorn would take it twice.
    if job.env.get("LISTEN_FDS") and not any("fd://" in word for word in job.argv):
        os.environ["LISTEN_PID"] = str(os.getpid())
    time.tzset()
    sys.dont_write_bytecode = bool(job.env.get("PYTHONDONTWRITEBYTECODE"))
    sys.argv[:] = [program, *job.argv[1:]]
    sys.orig_argv[:] = [sys.executable, program, *job.argv[1:]]
    sys.path[0] = os.path.dirname(program)
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    entering.name(job.argv[0])
    _show_command(sys.orig_argv, os.environ)
    rehearsal.lend_parser()
    main = types.ModuleType("__main__")
    loader = importlib.machinery.SourceFileLoader("__main__", program)
    main.__dict__.update(__file__=program, __cached__=None, __builtins__=builtins, __loader__=loader, __spec__=None, __annotations__={})
    sys.modules["__main__"] = main
    for own in _OWN:
        sys.modules.pop(own, None)
    gc.enable()
    exec(script, main.__dict__)


class _Map(ctypes.Structure):
    """struct prctl_mm_map."""

    _fields_ = (
        *((field, ctypes.c_uint64) for field in ("start_code", "end_code", "start_data", "end_data", "start_brk", "brk", "start_stack")),
        *((field, ctypes.c_uint64) for field in ("arg_start", "arg_end", "env_start", "env_end", "auxv")),
        ("auxv_size", ctypes.c_uint32),
        ("exe_fd", ctypes.c_uint32),
    )


def _show_command(argv: Sequence[str], env: os._Environ[str]) -> None:
    """Let process lists show this command, not the parent's; without it they show the parent's, which harms nobody."""
    try:
        with open("/proc/self/stat", encoding="utf-8") as file:
            fields = ["", "", *file.read().rpartition(")")[2].split()]
        words = b"".join(os.fsencode(word) + b"\0" for word in argv)
        variables = b"".join(os.fsencode(f"{key}={value}") + b"\0" for key, value in env.items())
        buffer = ctypes.create_string_buffer(words + variables)
        begin = ctypes.addressof(buffer)
        entering.LIBC.sbrk.restype = ctypes.c_void_p
        shown = _Map(
            start_code=int(fields[25]), end_code=int(fields[26]), start_stack=int(fields[27]), start_data=int(fields[44]),
            end_data=int(fields[45]), start_brk=int(fields[46]), brk=entering.LIBC.sbrk(0), arg_start=begin, arg_end=begin + len(words),
            env_start=begin + len(words), env_end=begin + len(words) + len(variables), auxv=0, auxv_size=0, exe_fd=0xFFFFFFFF,
        )  # fmt: skip
        entering.prctl(_PR_SET_MM, _PR_SET_MM_MAP, ctypes.addressof(shown), ctypes.sizeof(shown))
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(buffer))  # for ever
    except (OSError, ValueError, IndexError):
        return
