"""Procfile: one process type a line, `name: command`; for what runs at set times `cron-name: schedule command`. Pure."""

from __future__ import annotations

import re
import shlex

from sitewright.builder import schedule
from sitewright.domain.names import ProcessType
from sitewright.domain.processes import TAKES_DESCRIPTOR, Listen, ProcessSpec, Schedule
from sitewright.errors import BuildError, InvalidValueError

MAX_PROCESS_TYPES = 20
MAX_COMMAND_LENGTH = 4000
CRON_PREFIX = "cron-"
RUN = "run"
SOME_DAY = 1_700_000_000.0
"""A schedule that is due after this day, some day, is one; no clock is needed to say so."""
_PLAIN_NODE = re.compile(r"(?:exec )?node(?: [\w./=:@,+-]+)+")
_SHELL_SYNTAX = re.compile(r"[;&|<>()`\n]")


def parse_procfile(text: str) -> tuple[ProcessSpec, ...]:
    """The process types of a Procfile, in order. Raises BuildError that names the line."""
    found: dict[str, ProcessSpec] = {}
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        spec = _parse_line(number, line)
        if spec.type in found:
            raise _wrong(number, line, f"“{spec.type}” is there twice.")
        found[spec.type] = spec
    if len(found) > MAX_PROCESS_TYPES:
        raise BuildError(f"The Procfile has {len(found)} process types; {MAX_PROCESS_TYPES} is the most.", resolution="Remove some.")
    return tuple(found.values())


def _parse_line(number: int, line: str) -> ProcessSpec:
    name, colon, command = line.partition(":")
    command = command.strip()
    if not colon or not command:
        raise _wrong(number, line, "It needs a name, a colon and a command.")
    if len(command) > MAX_COMMAND_LENGTH or "\0" in command:
        raise _wrong(number, line, f"A command has at most {MAX_COMMAND_LENGTH} characters.")
    try:
        kind = ProcessType(name.strip().lower().replace("_", "-"))
    except InvalidValueError as error:
        raise _wrong(number, line, f"{error.message} {error.details}".strip()) from error
    if kind == "web":
        return web_process(command)
    if kind == RUN:
        raise _wrong(number, line, "“run” is what the platform calls commands that somebody runs by hand; choose another name.")
    if kind == "cron" or kind.startswith(CRON_PREFIX):
        return _cron_process(number, line, str(kind), command)
    return ProcessSpec(type=str(kind), command=command)


def _cron_process(number: int, line: str, kind: str, text: str) -> ProcessSpec:
    """`SCHEDULE [TZ=Zone] [overlap] command`, in that order."""
    words = text.split(None, 1 if text.startswith("@") else schedule.FIELDS)
    fields, rest = (words[:1], words[1:]) if text.startswith("@") else (words[: schedule.FIELDS], words[schedule.FIELDS :])
    command, options = rest[0] if rest else "", {"zone": "UTC", "overlap": ""}
    for option, pattern in (("zone", r"TZ=(\S+)\s+(.*)"), ("overlap", r"(overlap)\s+(.*)")):
        found = re.fullmatch(pattern, command, re.DOTALL)
        if found:
            options[option], command = found[1], found[2]
    when = Schedule(" ".join(fields), options["zone"], overlap=bool(options["overlap"]))
    try:
        schedule.check(when, SOME_DAY)
    except InvalidValueError as error:
        raise _wrong(number, line, error.message, f"Write it like “{kind}: 30 3 * * * python tidy.py”. {error.resolution}") from error
    if not command:
        raise _wrong(number, line, "After the schedule a command is needed.", f"Write it like “{kind}: 30 3 * * * python tidy.py”.")
    return ProcessSpec(type=kind, command=command, schedule=when)


def _wrong(number: int, line: str, why: str, how: str = "Write it like “web: gunicorn app:app”.") -> BuildError:
    return BuildError(f"Procfile, line {number}: “{line[:80]}” is not understood.", details=why, resolution=how)


def web_process(command: str) -> ProcessSpec:
    """A web process from its command: how it is reached follows from what the command names.

    gunicorn and uvicorn without an address of their own get the inherited socket, because it stays open while the app restarts.
    """
    if "fd://3" in command or re.search(r"--fd[= ]3\b", command):
        return ProcessSpec(type="web", command=command, listen=Listen.FD)
    if "$SOCKET" in command or "${SOCKET" in command:
        return ProcessSpec(type="web", command=command, listen=Listen.SOCKET)
    bound = _bind_to_descriptor(command)
    if bound:
        return ProcessSpec(type="web", command=bound, listen=Listen.FD)
    return ProcessSpec(type="web", command=command, listen=Listen.PORT, adopts=_PLAIN_NODE.fullmatch(command) is not None)


def _bind_to_descriptor(command: str) -> str:
    """The command with the inherited socket as its address, or "" where that could change its meaning."""
    if _SHELL_SYNTAX.search(command) or "PORT" in command:
        return ""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    words_after_launcher = words[3:] if words[:2] in (["python", "-m"], ["python3", "-m"]) else words[1:]
    program = words[2] if len(words) > 2 and words[1] == "-m" else words[0] if words else ""
    named = {word.split("=")[0] for word in words_after_launcher}
    if program == "gunicorn" and not named & {"-b", "--bind", "-c", "--config"} and not any(w.startswith("-b") for w in named):
        return f"{TAKES_DESCRIPTOR}{command}"
    if program == "uvicorn" and not named & {"--host", "--port", "--uds", "--fd", "--reload"}:
        return f"{command} --fd 3"
    return ""
