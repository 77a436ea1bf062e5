#!/usr/bin/python3 -IS
"""git's proc-receive hook: asks the node, through the socket at /hook/s, what becomes of the references of a push.

The conversation with git is that of githooks(5), "proc-receive". The one with the node is lines of JSON: first what is pushed, then from
there lines to show, commits to keep, and at last what to report for each reference.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket

SOCKET = "/hook/s"
NOTHING = "0" * 40
FLUSH = b"0000"


def read_exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def packets() -> list[bytes]:
    """One section: lines up to the flush."""
    found: list[bytes] = []
    while True:
        size = int(read_exactly(4), 16)
        if size == 0:
            return found
        found.append(read_exactly(size - 4).rstrip(b"\n"))


def packet(data: bytes) -> bytes:
    return b"%04x" % (len(data) + 4) + data


def put(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def git(*arguments: str) -> int:
    """The exit code of a quiet git command."""
    nowhere = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in (0, 1, 2)]
    child = os.posix_spawn("/usr/bin/git", ("git", *arguments), os.environ, file_actions=nowhere)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_forced(old: str, new: str, name: str) -> bool:
    if NOTHING in (old, new):
        return False
    return not name.startswith("refs/heads/") or git("merge-base", "--is-ancestor", old, new) != 0


def keep(name: str, commit: str) -> None:
    """A hidden reference, so that nothing collects the commit while it is being deployed."""
    path = os.path.join(os.environ.get("GIT_DIR", "."), "refs/sitewright/pushes", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".lock", "x") as file:
        file.write(commit + "\n")
    os.rename(path + ".lock", path)


def forget(name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(os.environ.get("GIT_DIR", "."), "refs/sitewright/pushes", name))


def say(text: str) -> None:
    os.write(2, text.encode("utf-8", "replace") + b"\n")


def converse(question: dict[str, object]) -> list[tuple[str, bool, bool, str]]:
    """Ask, do what is told, and return the report: lists of name, accepted, whether git itself moves it, reason."""
    node = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    node.connect(SOCKET)
    stream = node.makefile("rwb")
    stream.write(json.dumps(question).encode() + b"\n")
    stream.flush()
    for line in stream:
        told = json.loads(line)
        if "say" in told:
            say(told["say"])
        if "keep" in told:
            keep(*told["keep"])
        if "forget" in told:
            forget(told["forget"])
        if "report" in told:
            return [tuple(one) for one in told["report"]]
    raise EOFError


def main() -> None:
    (first,) = packets()
    features = first.partition(b"\0")[2].split()
    answered = [word for word in features if word in (b"push-options", b"atomic")]
    put(packet(b"version=1\0" + b" ".join(answered) + b"\n") + FLUSH)
    commands = [line.decode("utf-8", "surrogateescape").split(" ", 2) for line in packets()]
    options = [line.decode("utf-8", "replace") for line in packets()] if b"push-options" in answered else []
    most = int(os.environ.get("SITEWRIGHT_MOST_REFS", "2000"))
    if len(commands) > most:
        reason = f"more than {most:,} branches and tags in one push"
        report = [(name, False, False, reason) for _, _, name in commands]
    else:
        updates = [(name, old, new, is_forced(old, new, name)) for old, new, name in commands]
        try:
            report = converse({"updates": updates, "options": options, "atomic": b"atomic" in features})
        except (OSError, EOFError, ValueError):
            say("The platform has gone away in the middle of this push. What was asked of it goes on; look at the site's page.")
            report = [(name, False, False, "the platform does not answer") for name, _, _, _ in updates]
    answer = b""
    for name, accepted, passed_on, reason in report:
        shown = name.encode("utf-8", "surrogateescape")
        answer += packet(b"ok " + shown + b"\n" if accepted else b"ng " + shown + b" " + reason.encode("utf-8", "replace") + b"\n")
        if passed_on:
            answer += packet(b"option fall-through\n")
    put(answer + FLUSH)


if __name__ == "__main__":
    main()
