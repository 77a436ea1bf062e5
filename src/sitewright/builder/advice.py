"""What a failed command's output means, in words that help. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A known cause: what happened, and what to do."""

    message: str
    resolution: str


_KNOWN: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), message, resolution)
    for pattern, message, resolution in (
        (
            r"requires-python|requires Python|does not satisfy Python|Python>?=?[<>]=?3",
            "A package, or the project itself, needs another version of Python than this platform has.",
            "Allow it in requires-python, or choose a version of the package that runs on it.",
        ),
        (
            r"(?P<name>\S+) was not found in the (?:package registry|provided package locations)",
            "The package {name} does not exist in the package index.",
            "Check its spelling where it is listed.",
        ),
        (
            r"No solution found when resolving",
            "The listed packages do not fit together.",
            "Read the lines above: they say which ones. Loosen a version.",
        ),
        (
            r"curl error \d+ while downloading https?://(?P<name>[\w.-]+)",
            "Composer could not reach {name}, from where it takes packages.",
            "Run “composer install --no-dev” on your machine and deploy with the vendor folder: it is used as it is.",
        ),
        (
            r"(?:command|error: command) '?(?P<name>gcc|cc|g\+\+|x86_64-linux-gnu-gcc)'? failed|(?:gcc|cc): (?:not found|No such file)",
            "A package has to be compiled here, which did not work.",
            "Choose a version that is published ready-made (a wheel) for this version of Python.",
        ),
        (
            r"ModuleNotFoundError: No module named '(?P<name>[\w.]+)'",
            "The module {name} is not installed.",
            "Add its package to requirements.txt or pyproject.toml, and deploy again.",
        ),
        (
            r"npm (?:error|ERR!) code E404",
            "A package of package.json does not exist in the registry.",
            "Check its spelling and version in package.json.",
        ),
        (
            r"npm (?:error|ERR!) code ERESOLVE",
            "The packages of package.json do not fit together.",
            "Run “npm install” on your machine, correct what it says, and deploy with package-lock.json.",
        ),
        (
            r"can only install packages when your package.json and package-lock.json",
            "package-lock.json does not match package.json.",
            "Run “npm install” on your machine, and deploy again with the new package-lock.json.",
        ),
        (
            r"JavaScript heap out of memory|MemoryError|Cannot allocate memory",
            "The build ran out of memory.",
            "Build on your machine and deploy the result, or make the build smaller.",
        ),
        (
            r"No space left on device|Disk quota exceeded",
            "The build ran out of disk space.",
            "Leave out large files and packages that are not needed.",
        ),
        (
            r"Temporary failure in name resolution|dns error|EAI_AGAIN|Could not resolve host|Failed to fetch|ENOTFOUND",
            "An address on the network could not be reached.",
            "Check the address for mistakes and try again in a minute; if it stays so, tell whoever runs this platform.",
        ),
        (
            r"(?:repository '[^']*' not found|could not read Username|Authentication failed|terminal prompts disabled)",
            "The repository does not exist, or is not public.",
            "Check the address; a private repository needs a token in it.",
        ),
        (
            r"Remote branch \S+ not found|couldn't find remote ref",
            "The branch or tag does not exist in the repository.",
            "Check its name.",
        ),
    )
)

_AT_START: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (
            r"(?:Read-only file system|EROFS|attempt to write a readonly database|unable to open database file)",
            "The app writes beside its code, and releases are not written to. Let it write to the folder that $SITEWRIGHT_DATA "
            "names (/data), which outlives releases, or make the site with --live.",
        ),
        (
            r"(?:ModuleNotFoundError: No module named|Cannot find module) '(?P<name>[@\w./-]+)'",
            "{name} is not installed: list its package (requirements.txt, pyproject.toml or package.json), and deploy again.",
        ),
        (
            r"(?:sh: \d+: |sh: line \d+: )(?P<name>[\w./-]+): (?:not found|command not found)",
            "The program “{name}” is not there: list the package that has it, or correct the start command.",
        ),
        (
            r"(?:sh: \d+: |sh: line \d+: |exec: )(?P<name>[\w./-]+): Permission denied",
            "“{name}” is not executable: run “chmod +x {name}” and deploy again, or start it with its interpreter.",
        ),
        (r"KeyError: '(?P<name>[A-Z][A-Z0-9_]{2,60})'", "The environment variable {name} is not set: “sitewright env set SITE {name}=…”."),
        (
            r"(?:DisallowedHost|Invalid HTTP_HOST header)",
            "Django does not know the site's address: add it to ALLOWED_HOSTS in the settings, for example from $SITEWRIGHT_URL.",
        ),
        (
            r"(?:killed: used \d+ MB of (?P<name>\d+) MB|JavaScript heap out of memory|MemoryError)",
            "It needs more memory than it may use: give the site a higher limit.",
        ),
        (
            r"(?:EADDRINUSE|Address already in use)",
            "It starts two servers on one port: start one only, on $PORT.",
        ),
        (
            r"(?:EACCES|Permission denied)[^\n]{0,80}(?::80\b|:443\b|port 80\b|port 443\b)",
            "Ports below 1024 cannot be opened: listen on $PORT.",
        ),
    )
)


def explain_start(lines: Sequence[str]) -> str:
    """What to do about a process that does not come up, from the last lines of its output; "" when nothing is recognised."""
    text = "\n".join(lines)[-20_000:]
    for pattern, words in _AT_START:
        match = pattern.search(text)
        if match:
            return words.format(**{key: (value or "")[:80] for key, value in match.groupdict().items()})
    return ""


def explain(lines: Sequence[str]) -> Finding | None:
    """The first known cause in the last lines of output, None when nothing is recognised."""
    text = "\n".join(lines)[-20_000:]
    for pattern, message, resolution in _KNOWN:
        match = pattern.search(text)
        if match:
            return Finding(message.format(**{key: (value or "")[:80] for key, value in match.groupdict().items()}), resolution)
    return None
