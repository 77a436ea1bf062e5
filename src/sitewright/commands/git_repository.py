"""Argv for git on a site's own repository, and the configuration that it is served with. All of it runs inside a box only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sitewright.commands.git import GIT
from sitewright.domain.git import HIDDEN, RefUpdate
from sitewright.errors import InvalidValueError

REPOSITORY = "/repo.git"
"""Where the repository is inside."""
TOOLS = "/platform-git"
"""Where our configuration, hooks and scripts are inside, read-only."""
HOOK_FOLDER = "/hook"
"""Where the socket of a push is inside."""
TREE = "/app"
"""Where a work tree is inside."""
NOTHING = "0" * 40
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""git knows it by heart."""
MOST_REFS_OF_A_PUSH = 2000
LONGEST_REF = 255
_COMMIT = re.compile(r"[0-9a-f]{40}")
_BAD_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|@\{|//|/\.|^\.|\.lock(/|$)|\.$|/$")
_PROTOCOL = re.compile(r"(?:version=[0-9])?(?::[a-z0-9=_-]{1,40}){0,4}")
_FORMER_FAULTS = (
    *("badTimezone", "missingEmail", "missingNameBeforeEmail"),
    *("missingSpaceBeforeDate", "missingSpaceBeforeEmail", "zeroPaddedFilemode"),
)
"""Of repositories that old versions of git have made: told, not refused. None of them is about what a checkout does."""


def _section(name: str, values: Sequence[tuple[str, str]]) -> str:
    return f"[{name}]\n" + "".join(f"\t{key} = {value}\n" for key, value in values)


def configuration() -> str:
    """The whole configuration of every repository. It lies over the file on disk, so that one that a tenant might get written there has
    no effect."""
    faults = [(fault, "warn") for fault in _FORMER_FAULTS]
    return "".join(
        _section(name, values)
        for name, values in (
            (
                "core",
                (
                    ("repositoryFormatVersion", "0"),
                    ("bare", "true"),
                    ("hooksPath", f"{TOOLS}/hooks"),
                    ("fsmonitor", "false"),
                    ("protectHFS", "true"),
                    ("protectNTFS", "true"),
                    ("logAllRefUpdates", "false"),
                    ("bigFileThreshold", "16m"),
                    ("packedGitLimit", "128m"),
                    ("packedGitWindowSize", "16m"),
                    ("deltaBaseCacheLimit", "32m"),
                    # What a push has brought is on the disk before its reference is: one flush for all of its objects.
                    ("fsync", "committed,reference"),
                    ("fsyncMethod", "batch"),
                ),
            ),
            (
                "receive",
                (
                    ("fsckObjects", "true"),
                    ("procReceiveRefs", "refs"),
                    ("advertisePushOptions", "true"),
                    ("denyCurrentBranch", "ignore"),
                    ("denyDeleteCurrent", "ignore"),
                    ("autogc", "false"),
                    ("shallowUpdate", "false"),
                ),
            ),
            ('receive "fsck"', faults),
            ('fetch "fsck"', faults),
            ("fetch", (("fsckObjects", "true"), ("recurseSubmodules", "false"), ("unpackLimit", "100"))),
            ("transfer", (("hideRefs", HIDDEN.rstrip("/")), ("fsckObjects", "true"))),
            ("uploadpack", (("allowFilter", "true"), ("allowReachableSHA1InWant", "true"))),
            ("pack", (("threads", "1"), ("windowMemory", "64m"), ("deltaCacheSize", "32m"))),
            ("gc", (("auto", "0"), ("autoDetach", "false"))),
            ("submodule", (("recurse", "false"),)),
            ("protocol", (("allow", "never"),)),
            ("credential", (("helper", ""),)),
        )
    )


ENVIRONMENT = (
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("HOME", "/tmp"),  # noqa: S108 - the box's own
    ("LANG", "C.UTF-8"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", "/bin/true"),
    ("GIT_DIR", REPOSITORY),
    ("GIT_OPTIONAL_LOCKS", "0"),
)
"""Nothing of the machine's or the tenant's configuration is read, nobody is asked."""


class Protocol(str):
    """A client's GIT_PROTOCOL, such as `version=2`."""

    __slots__ = ()

    def __new__(cls, text: str) -> Protocol:
        """Anything else than what git sends is taken for nothing."""
        return super().__new__(cls, text if _PROTOCOL.fullmatch(text) else "")


def commit_id(text: str) -> str:
    """*text*, when it is a whole commit id. Raises InvalidValueError."""
    if not _COMMIT.fullmatch(text):
        raise InvalidValueError(f"“{text[:60]}” is not a commit.", resolution="Give all 40 digits.")
    return text


def is_ref_name(name: str) -> bool:
    """Whether *name* is a whole reference's name that git allows (`git check-ref-format`), and that can be shown."""
    return (
        name.startswith("refs/")
        and name.count("/") >= 2
        and len(name.encode(errors="replace")) <= LONGEST_REF
        and name.isprintable()
        and not _BAD_IN_REF.search(name)
    )


def ref_name(name: str) -> str:
    """*name*, when it is one. Raises InvalidValueError."""
    if not is_ref_name(name):
        raise InvalidValueError(
            f"“{name[:60]}” cannot be the name of a branch or tag.", resolution="Use letters, digits, “-”, “.” and “/”."
        )
    return name


@dataclass(frozen=True, slots=True)
class Serving:
    """How one half of git's protocol is served. ``most_bytes`` is the largest pack that is taken."""

    service: str
    stateless: bool = False
    advertise: bool = False
    most_bytes: int = 0


def serve(serving: Serving) -> tuple[str, ...]:
    """Argv that speaks the protocol on its input and output."""
    strict = ("--strict",) if serving.service == "upload-pack" else ()
    options = [*strict, *(("--stateless-rpc",) if serving.stateless else ()), *(("--http-backend-info-refs",) if serving.advertise else ())]
    settings = ("-c", f"receive.maxInputSize={serving.most_bytes}") if serving.most_bytes else ()
    return (GIT, *settings, serving.service, *options, REPOSITORY)


_FIELDS = ("%(refname)", "%(objecttype)", "%(objectname)", "%(authorname)", "%(authoremail)", "%(authordate:unix)", "%(contents:subject)")
_PEELED = ("%(*objecttype)", "%(*objectname)", "%(*authorname)", "%(*authoremail)", "%(*authordate:unix)", "%(*contents:subject)")
FIELDS_OF_A_REF = len(_FIELDS) + len(_PEELED)


def list_refs(most: int) -> tuple[str, ...]:
    """Branches and tags with what they lead to, newest first, fields ended by NUL."""
    form = "%00".join((*_FIELDS, *_PEELED)) + "%00"
    return (GIT, "for-each-ref", f"--format={form}", "--sort=-creatordate", f"--count={most}", "refs/heads", "refs/tags")


def read_refs(names: Sequence[str]) -> tuple[str, ...]:
    """Where these references are: `commit name` lines."""
    return (GIT, "for-each-ref", "--format=%(objectname) %(refname)", *names)


def log(since: str, until: str, most: int) -> tuple[str, ...]:
    """Commits of *until* that are not in *since* ("" is none), newest first, fields ended by NUL."""
    reach = f"{commit_id(since)}..{commit_id(until)}" if since else commit_id(until)
    return (GIT, "log", "-z", f"--max-count={most}", "--format=%H%x00%an <%ae>%x00%at%x00%s", reach, "--")


def changed_files(since: str, until: str) -> tuple[str, ...]:
    """Files that differ: raw lines, then counts, ended by NUL."""
    start = commit_id(since) if since else EMPTY_TREE
    return (
        GIT,
        "diff-tree",
        "-r",
        "-z",
        "--raw",
        "--numstat",
        "--no-renames",
        start,
        commit_id(until),
        "--",
    )


MOVE = (GIT, "update-ref", "--stdin")
"""Moves references as ``moves`` says."""


def moves(updates: Sequence[RefUpdate]) -> bytes:
    """What ``MOVE`` is told: all or none. Raises InvalidValueError."""
    lines = ["start"]
    for update in updates:
        old = commit_id(update.old) if update.old else NOTHING
        new = commit_id(update.new) if update.new else ""
        name = ref_name(update.name)
        lines.append(f"update {name} {new} {old}" if new else f"delete {name} {old}")
    return "\n".join((*lines, "prepare", "commit", "")).encode()


def script(name: str, *arguments: str) -> tuple[str, ...]:
    """Argv of one of our scripts inside."""
    return ("/usr/bin/python3", "-I", "-S", f"{TOOLS}/{name}.py", *arguments)


EXCLUDED = "node_modules/\n.venv/\nvenv/\n__pycache__/\n*.pyc\n.sitewright/\n.DS_Store\n"
"""What builds fill and machines leave: never part of a commit of the platform's. What .gitignore says comes on top."""


def committing(message: str, parent: str = "", branch: str = "") -> tuple[str, ...]:
    """Argv that commits the work tree on top of *parent* ("" is none) and moves *branch* ("" for none). Raises InvalidValueError."""
    if branch:
        ref_name(f"refs/heads/{branch}")
    return script("work_tree", "commit", commit_id(parent) if parent else "", branch, message.replace("\0", "") or "Edits")


def editing(commit: str) -> tuple[str, ...]:
    """Argv that tells how the work tree differs from *commit* ("" is nothing). Raises InvalidValueError."""
    return script("work_tree", "edits", commit_id(commit) if commit else "")


def committer(name: str, address: str) -> tuple[tuple[str, str], ...]:
    """Variables that say who a commit is by: the author as given, the platform as committer."""
    return (
        *ENVIRONMENT,
        ("GIT_AUTHOR_NAME", _plain(name) or "Somebody"),
        ("GIT_AUTHOR_EMAIL", _plain(address) or "unknown"),
        ("GIT_COMMITTER_NAME", "Sitewright"),
        ("GIT_COMMITTER_EMAIL", "sitewright@localhost"),
    )


def _plain(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable() and letter not in "<>")[:200].strip()
