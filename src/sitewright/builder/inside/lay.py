"""Runs inside a sandbox, as the site's user: lay a commit's tree into a folder. Standard library only.

Arguments: repository, commit or reference, folder, maximal bytes, maximal files, and a pipe with a name, if there may be more to do.
Prints one line of JSON: {"commit", "files", "bytes", "submodules": [[path, url, commit]]} or {"message", "details", "resolution"}.
Then, if there is such a pipe, it waits for a line there: the arguments of seal.py, with NUL between them, in hexadecimal digits. An empty
line ends it.

The tree is counted before anything is written: a tree that names itself ten times over is a few kilobytes in a pack. Links are looked at
when all is there; git itself never writes through one.
"""

import _json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

GIT = ("/usr/bin/git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "submodule.recurse=false")
LFS_POINTER = b"version https://git-lfs"
LARGEST_POINTER = 1024
ERRORS = "/tmp/errors"


class Refused(Exception):  # noqa: N818 - it reads so where it is raised
    """The commit cannot be used: message, details, resolution."""


def shown(name: bytes) -> str:
    text = name.decode("utf-8", "replace")[:200]
    return "".join(letter if letter.isprintable() else "�" for letter in text)


class Git:
    """One git command, its output as it comes. (`subprocess` takes longer to import than git takes to run.)"""

    def __init__(self, *arguments: str) -> None:
        reading, writing = os.pipe()
        streams = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, writing, 1),
            (os.POSIX_SPAWN_OPEN, 2, ERRORS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        ]
        self._pid = os.posix_spawn(GIT[0], (*GIT, *arguments), os.environ, file_actions=streams)
        os.close(writing)
        self._output = reading

    def pieces(self) -> "Iterator[bytes]":
        """What it says."""
        while piece := os.read(self._output, 1 << 20):
            yield piece

    def end(self) -> int:
        """Hear no more; how it ended."""
        os.close(self._output)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def ask(*arguments: str) -> bytes:
    git = Git(*arguments)
    output = b"".join(git.pieces())
    if git.end():
        with open(ERRORS, "rb") as file:
            lines = file.read(100_000).decode("utf-8", "replace").strip().splitlines() or [""]
        raise Refused("The commit cannot be laid out.", lines[-1][:300], "Look at the commit with git on your machine (`git fsck`).")
    return output


def resolve(name: str) -> str:
    """The commit that *name* stands for. A whole id is one already: `ls-tree` says if it is not there."""
    if len(name) == 40 and not set(name) - set("0123456789abcdef"):
        return name
    try:
        return ask("rev-parse", "--verify", "-q", f"{name}^{{commit}}").decode().strip()
    except Refused:
        raise absent(name) from None


def absent(name: str) -> Refused:
    return Refused("There is no such commit in the site's repository.", name[:80], "Push the branch again.")


class Tree:
    """What a commit holds, counted while it is listed."""

    def __init__(self, most_bytes: int, most_files: int) -> None:
        self.most_bytes, self.most_files = most_bytes, most_files
        self.files = self.bytes = 0
        self.links: list[bytes] = []
        self.modules: list[tuple[bytes, str]] = []
        self.small: list[bytes] = []
        self.attributes: list[bytes] = []

    def read(self, commit: str) -> None:
        listing = Git("ls-tree", "-r", "-z", "-l", "--full-tree", commit)
        rest = b""
        for piece in listing.pieces():
            *entries, rest = (rest + piece).split(b"\0")
            for entry in entries:
                self.note(entry)
        if listing.end():
            raise absent(commit)

    def note(self, entry: bytes) -> None:
        about, _, path = entry.partition(b"\t")
        mode, _, commit, size = about.split()
        if mode == b"160000":
            self.modules.append((path, commit.decode()))
            return
        self.files += 1
        self.bytes += int(size)
        if self.files > self.most_files:
            raise Refused(f"The commit has more than {self.most_files:,} files.", "", "Leave out what a build makes, such as node_modules.")
        if self.bytes > self.most_bytes:
            raise Refused(
                f"The commit holds more than {self.most_bytes // 1048576} MB.", "", "Leave out large files, or ask for more room."
            )
        if mode == b"120000":
            self.links.append(path)
        elif int(size) <= LARGEST_POINTER:
            self.small.append(path)
            if path.rpartition(b"/")[2] == b".gitattributes":
                self.attributes.append(path)


def check_links(links: list[bytes]) -> None:
    here = os.path.realpath(b".")
    for path in links:
        target = os.readlink(path) if os.path.islink(path) else b""
        real = os.path.realpath(path)
        if target.startswith(b"/") or not (real == here or real.startswith(here + b"/")):
            raise Refused(
                "The commit has a link that leads out of its folder.", f"It is “{shown(path)}”.", "Replace the link by the file itself."
            )


def check_large_files(tree: Tree) -> None:
    """Files whose content is kept elsewhere (Git LFS): the site would serve pointers."""
    if not any(b"filter=lfs" in contents(path) for path in tree.attributes):
        return
    for path in tree.small:
        if contents(path).startswith(LFS_POINTER):
            raise Refused(
                "Git LFS is not supported.",
                f"“{shown(path)}” is only a pointer to a file that is kept elsewhere.",
                "Commit the file itself (`git lfs migrate export --include=…`), or fetch it in a build step.",
            )


def contents(path: bytes) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST_POINTER + 1)
    except OSError:
        return b""


def submodules(modules: list[tuple[bytes, str]]) -> list[tuple[str, str, str]]:
    """Path, address and commit of each. Raises Refused for one whose address is not written down."""
    if not modules:
        return []
    found: dict[bytes, dict[bytes, bytes]] = {}
    if os.path.isfile(".gitmodules") and not os.path.islink(".gitmodules"):
        for item in ask("config", "-z", "-f", ".gitmodules", "--get-regexp", r"^submodule\..*\.(path|url)$").split(b"\0"):
            key, _, value = item.partition(b"\n")
            name, _, part = key.removeprefix(b"submodule.").rpartition(b".")
            found.setdefault(name, {})[part] = value
    addresses = {about.get(b"path", b""): about.get(b"url", b"") for about in found.values()}
    listed = []
    for path, commit in modules:
        url = addresses.get(path, b"")
        if not url:
            raise Refused(
                "A submodule has no address.", f"It is “{shown(path)}”.", "Add it to .gitmodules, or remove it from the repository."
            )
        listed.append((os.fsdecode(path), url.decode("utf-8", "replace"), commit))
    return listed


def lay(name: str, folder: str, most_bytes: int, most_files: int) -> dict[str, object]:
    commit = resolve(name)
    tree = Tree(most_bytes, most_files)
    tree.read(commit)
    if not tree.files and not tree.modules:
        raise Refused("The commit is empty.", "", "Add an index.html or your app's files, commit, and push again.")
    os.makedirs(folder, exist_ok=True)
    if os.path.realpath(folder) != os.path.abspath(folder):
        raise Refused("A submodule lies behind a link.", "", "Move it to a folder of its own.")
    os.chdir(folder)
    os.environ.update(GIT_WORK_TREE=folder, GIT_INDEX_FILE=f"/tmp/index-{os.getpid()}")
    ask("read-tree", "--reset", "-u", commit)
    check_links(tree.links)
    check_large_files(tree)
    return {"commit": commit, "files": tree.files, "bytes": tree.bytes, "submodules": submodules(tree.modules)}


def said(value: object) -> str:
    """As JSON, for what is said here."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{said(key)}:{said(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(said(item) for item in value) + "]"
    return str(value) if isinstance(value, int) else _json.encode_basestring_ascii(str(value))


def main() -> None:
    repository, name, folder, most_bytes, most_files, *told = sys.argv[1:]
    os.environ["GIT_DIR"] = repository
    try:
        result = lay(name, folder, int(most_bytes), int(most_files))
    except Refused as refused:
        message, details, resolution = refused.args
        result = {"message": message, "details": details, "resolution": resolution}
    print(said(result), flush=True)
    if told and "message" not in result:
        go_on(told[0])


def go_on(told: str) -> None:
    """In the same box, which takes longer to make than what most of it does."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seal.py")
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    with open(told, "rb") as pipe:
        words = bytes.fromhex(pipe.readline().decode())
    if words:
        sys.argv = [path, *os.fsdecode(words).split("\0")]
        exec(code, {"__name__": "__main__", "__file__": path})


if __name__ == "__main__":
    main()
