#!/usr/bin/python3 -IS
"""git's proc-receive hook: asks the node, through the socket at /hook/s, what becomes of the references of a push.

The conversation with git is that of githooks(5), "proc-receive". The one with the node is lines of fields parted by tabs. To the node:
`update OLD NEW FORCED NAME`, `option TEXT`, `atomic`, and at last `end`. From it: `say TEXT`, `keep OPERATION COMMIT`, `forget OPERATION`,
and for each reference `ok NAME`, `pass NAME` (git itself moves it) or `ng NAME REASON`, and at last `done`.

Somebody waits for every push, and most of what this takes is Python's own start: so nothing is imported that is not built in.
"""

import _socket
import os
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SOCKET = "/hook/s"
NOTHING = b"0" * 40
FLUSH = b"0000"
PUSHES = b"refs/sitewright/pushes/"
MOST_PARENTS = 20
GIT_DIR = os.environb.get(b"GIT_DIR", b".") + b"/"


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


def git(*arguments: bytes) -> int:
    """The exit code of a quiet git command."""
    nowhere = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in (0, 1, 2)]
    child = os.posix_spawn("/usr/bin/git", (b"git", *arguments), os.environ, file_actions=nowhere)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def builds_on(new: bytes, old: bytes) -> bool:
    """Whether *old* is among the first parents of *new*, as far as these lie by themselves: then nobody else has to be asked."""
    commit = new
    for _ in range(MOST_PARENTS):
        path = GIT_DIR + b"objects/" + commit[:2] + b"/" + commit[2:]
        try:
            head = zlib.decompressobj().decompress(slurp(path), 400)
        except (OSError, zlib.error):
            return False
        kind, _, text = head.partition(b"\0")
        tree, parent, *_ = (*text.split(b"\n", 2), b"")
        if not kind.startswith(b"commit ") or not tree.startswith(b"tree ") or not parent.startswith(b"parent ") or len(parent) != 47:
            return False
        commit = parent[7:]
        if commit == old:
            return True
    return False


def is_forced(old: bytes, new: bytes, name: bytes) -> bool:
    if NOTHING in (old, new) or (name.startswith(b"refs/heads/") and builds_on(new, old)):
        return False
    return not name.startswith(b"refs/heads/") or git(b"merge-base", b"--is-ancestor", old, new) != 0


def stands(name: bytes, packed: bytes) -> bytes:
    """Where a reference is now; NOTHING when it is nowhere. What the client says of that is not believed: what it calls an addition could
    be anything, and be live before git finds out."""
    try:
        found = slurp(GIT_DIR + name).strip()
    except OSError:  # a folder: there are others below that name
        found = b""
    if not found:
        place = packed.find(b" " + name + b"\n")
        found = packed[max(place - 40, 0) : place] if place >= 0 else NOTHING
    return found


def keep(operation: bytes, commit: bytes) -> None:
    """A hidden reference, so that nothing collects the commit while it is being deployed."""
    path = GIT_DIR + PUSHES + operation
    os.makedirs(GIT_DIR + PUSHES, exist_ok=True)
    lock = os.open(path + b".lock", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(lock, commit + b"\n")
    os.close(lock)
    os.rename(path + b".lock", path)


def forget(operation: bytes) -> None:
    try:
        os.unlink(GIT_DIR + PUSHES + operation)
    except OSError:
        return


def follow_head(accepted: list[bytes]) -> None:
    """Let HEAD name a branch that is there, so that clones have something to check out: when the one it names was never pushed, the
    first that was."""
    branches = [name for name in accepted if name.startswith(b"refs/heads/")]
    try:
        head = slurp(GIT_DIR + b"HEAD").removeprefix(b"ref: ").strip()
        if not branches or head in branches or os.path.exists(GIT_DIR + head) or b" " + head + b"\n" in slurp(GIT_DIR + b"packed-refs"):
            return
        lock = os.open(GIT_DIR + b"HEAD.lock", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(lock, b"ref: " + branches[0] + b"\n")
        os.close(lock)
        os.rename(GIT_DIR + b"HEAD.lock", GIT_DIR + b"HEAD")
    except OSError:
        return


def slurp(path: bytes) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        data = b""
        while piece := os.read(file, 1 << 20):
            data += piece
        return data
    finally:
        os.close(file)


def lines(node: _socket.socket) -> "Iterator[bytes]":
    rest = b""
    while piece := node.recv(65536):
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole


def converse(question: bytes) -> bytes:
    """Ask, do what is told, and return the answer for git."""
    node = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    node.connect(SOCKET)
    node.sendall(question)
    answer = b""
    accepted: list[bytes] = []
    for line in lines(node):
        what, _, told = line.partition(b"\t")
        first, _, second = told.partition(b"\t")
        if what == b"say":
            os.write(2, told + b"\n")
        elif what == b"keep":
            keep(first, second)
        elif what == b"forget":
            forget(first)
        elif what == b"ok":
            accepted.append(told)
            answer += packet(b"ok " + told + b"\n")
        elif what == b"pass":
            accepted.append(told)
            answer += packet(b"ok " + told + b"\n") + packet(b"option fall-through\n")
        elif what == b"ng":
            answer += refused(first, second)
        elif what == b"done":
            follow_head(accepted)
            return answer
    raise EOFError


def refused(name: bytes, reason: bytes) -> bytes:
    return packet(b"ng " + name + b" " + reason + b"\n")


def is_plain(text: bytes) -> bool:
    return all(byte >= 32 and byte != 127 for byte in text)


def why_not(commands: list[list[bytes]]) -> dict[bytes, bytes]:
    """Name → reason, of those that nobody need be asked about."""
    packed = slurp(GIT_DIR + b"packed-refs")
    found: dict[bytes, bytes] = {}
    seen: set[bytes] = set()
    for old, _, name in commands:
        if not is_plain(name):
            found[name] = b"the name cannot be shown or is too long"
        elif name in seen:
            found[name] = b"it is named twice"
        elif stands(name, packed) != old and stands(name, slurp(GIT_DIR + b"packed-refs")) != old:
            # Looked at again, for it may have been packed in between.
            found[name] = b"it was moved meanwhile; fetch first"
        seen.add(name)
    return found


def judge(commands: list[list[bytes]], options: list[bytes], *, atomic: bool) -> bytes:
    most = int(os.environ.get("SITEWRIGHT_MOST_REFS", "2000"))
    if len(commands) > most:
        reason = b"more than %s branches and tags in one push" % f"{most:,}".encode()
        return b"".join(refused(name, reason) for _, _, name in commands)
    odd = why_not(commands)
    plain = [command for command in commands if command[2] not in odd]
    answer = b"".join(refused(name, reason) for name, reason in odd.items())
    if odd and atomic:
        return answer + b"".join(refused(name, b"another one was refused") for _, _, name in plain)
    updates = [b"\t".join((b"update", old, new, b"1" if is_forced(old, new, name) else b"0", name)) for old, new, name in plain]
    told = [*updates, *(b"option\t" + text for text in options if is_plain(text)), *([b"atomic"] if atomic else []), b"end", b""]
    try:
        return answer + (converse(b"\n".join(told)) if plain else b"")
    except (OSError, EOFError, ValueError):
        os.write(2, b"The platform has gone away in the middle of this push. What was asked of it goes on; look at the site's page.\n")
        return answer + b"".join(refused(name, b"the platform does not answer") for _, _, name in plain)


def main() -> None:
    (first,) = packets()
    features = first.partition(b"\0")[2].split()
    answered = [word for word in features if word in (b"push-options", b"atomic")]
    put(packet(b"version=1\0" + b" ".join(answered) + b"\n") + FLUSH)
    commands = [line.split(b" ", 2) for line in packets()]
    options = packets() if b"push-options" in answered else []
    put(judge(commands, options, atomic=b"atomic" in features) + FLUSH)


if __name__ == "__main__":
    main()
    os._exit(0)  # git waits for the end, and need not wait until Python has taken itself apart
