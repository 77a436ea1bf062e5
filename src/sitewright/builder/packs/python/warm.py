"""Which start commands can also be begun from a parent that has the server imported (ProcessSpec.warm). Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

from sitewright.domain.processes import Listen, ProcessSpec

SERVERS = ("gunicorn", "uvicorn")
_LAUNCHER = re.compile(r"^(?:exec )?(?:env LISTEN_PID=\$\$ )?")
_QUOTED = re.compile(r"'[^']*'|\"[^\"$`\\!]*\"")
_SHELL_SYNTAX = re.compile(r"[^\w\s./:=@%+,-]")
"""What is left outside quotes must mean itself to a shell."""
_ELSEWHERE = re.compile(
    r"^(?:--chdir|--pythonpath|--app-dir|--config|-c$|--reload|--reload-.*|--preload|--daemon|-D$|--user|-u$|--group|-g$|--workers=0)"
)
"""Options that change where modules come from, or what the process does to itself before it serves."""
_WORKERS = frozenset({"sync", "gthread", "uvicorn.workers.UvicornWorker"})


def warmed(process: ProcessSpec) -> ProcessSpec:
    """The process with ``warm`` filled in where its command is one known server and its arguments, and nothing else."""
    return replace(process, warm=warm_arguments(process.command)) if process.listen is Listen.FD else process


def warm_arguments(command: str) -> tuple[str, ...]:
    """("gunicorn", "app:app") of `exec env LISTEN_PID=$$ gunicorn app:app`; () where only a shell does what the line says."""
    line = _LAUNCHER.sub("", command.strip(), count=1)
    if _SHELL_SYNTAX.search(_QUOTED.sub("", line)) or "\n" in line:
        return ()
    try:
        words = shlex.split(line)
    except ValueError:
        return ()
    if not words or words[0] not in SERVERS or any(_ELSEWHERE.match(word) for word in words[1:]):
        return ()
    return () if _worker(words) not in _WORKERS else tuple(words)


def _worker(words: list[str]) -> str:
    """gunicorn's worker class; the usual one when none is named."""
    for place, word in enumerate(words):
        if word in {"-k", "--worker-class"}:
            return words[place + 1] if place + 1 < len(words) else ""
        if word.startswith("--worker-class="):
            return word.partition("=")[2]
        if word.startswith("-k"):
            return word[2:]
    return "sync"
