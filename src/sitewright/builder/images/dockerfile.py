"""Reading a Dockerfile, and writing it anew for the daemon. Pure.

The daemon fetches what FROM, COPY --from and ADD name by itself, from where the machine can reach and a site cannot. So what it is given is
never the tenant's text but what was understood of it: an instruction a line, images by the id that they have here, no ADD from the net.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from sitewright.domain.images import ImageReference, parse_reference
from sitewright.errors import BuildError, InvalidValueError

MOST_LINES = 2000
MOST_STAGES = 20
PASSED = frozenset({"RUN", "CMD", "LABEL", "MAINTAINER", "EXPOSE", "ENV", "ENTRYPOINT", "USER", "WORKDIR", "ARG", "STOPSIGNAL", "SHELL"})
NOT_FOLLOWED = {
    "HEALTHCHECK": "HEALTHCHECK is not followed: [processes.web.health] in sitewright.toml says how the site is asked.",
    "VOLUME": "VOLUME is not followed: what is to last belongs into /data ($SITEWRIGHT_DATA).",
    "ONBUILD": "ONBUILD is not followed: nothing is built from this image.",
}
_CONTINUED = re.compile(r"\\[ \t]*$")
_STAGE = re.compile(r"[a-z][a-z0-9_.-]{0,60}")
_ARG = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:=(.*))?", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}$]*))?\}|([A-Za-z_][A-Za-z0-9_]*))")
_PLAIN_PATH = re.compile(r"[\w./*?@+, ~-]+")
_HEREDOC = re.compile(r"(?:^|\s)<<-?[\"']?[A-Za-z_]\w*[\"']?(?:\s|$)")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its line in the file (from 1), its word in capitals, the rest in one line."""

    line: int
    word: str
    rest: str


@dataclass(frozen=True, slots=True)
class Stage:
    """What one FROM begins. ``base`` is None for a stage before (named in ``on``) and for scratch."""

    line: int
    base: ImageReference | None
    on: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile that was understood. ``declared``: names of its ARGs; ``notes``: what is not followed."""

    instructions: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    declared: frozenset[str]
    notes: tuple[str, ...]

    @property
    def bases(self) -> tuple[ImageReference, ...]:
        """The images that it begins from, each once; the last is that of the last stage that has one."""
        return tuple(dict.fromkeys(stage.base for stage in self.stages if stage.base is not None))


def parse_dockerfile(text: str, args: Mapping[str, str]) -> Dockerfile:
    """Understand it; *args* are the values that ARGs before the first FROM may have. Raises BuildError with the line."""
    instructions = tuple(_instruction(line, words) for line, words in _logical_lines(text))
    if not instructions:
        raise BuildError("The Dockerfile is empty.", resolution="Write at least FROM and CMD into it, or delete it.")
    stages: list[Stage] = []
    known: dict[str, str] = {}
    declared: set[str] = set()
    notes: dict[str, None] = {}
    for one in instructions:
        if one.word == "FROM":
            stages.append(_stage(one, known, stages))
        elif one.word == "ARG":
            for name, value in _args(one):
                declared.add(name)
                if not stages:
                    known[name] = args.get(name, value)
        elif not stages:
            raise wrong(one, "An instruction other than ARG stands before FROM.")
        else:
            _check(one, stages)
        if one.word in NOT_FOLLOWED:
            notes[NOT_FOLLOWED[one.word]] = None
    if not stages:
        raise BuildError("The Dockerfile has no FROM.", resolution="Begin it with FROM and the name of an image.")
    if len(stages) > MOST_STAGES:
        raise BuildError(f"The Dockerfile has {len(stages)} stages; {MOST_STAGES} is the most.", resolution="Remove some.")
    return Dockerfile(instructions, tuple(stages), frozenset(declared), tuple(notes))


def rendered(dockerfile: Dockerfile, pinned: Mapping[ImageReference, str], cache: str) -> str:
    """The text for the daemon. *pinned*: the id of each base; *cache*: what separates one site's cached layers from another's."""
    lines: list[str] = []
    stages = iter(dockerfile.stages)
    for one in dockerfile.instructions:
        if one.word in NOT_FOLLOWED:
            continue
        if one.word != "FROM":
            lines.append(f"{one.word} {one.rest}")
            continue
        stage = next(stages)
        base = pinned[stage.base] if stage.base is not None else stage.on
        lines.append(f"FROM {base}" + (f" AS {stage.name}" if stage.name else ""))
        lines.append(f"LABEL org.sitewright.cache={json.dumps(cache)}")
    return "\n".join(lines) + "\n"


def wrong(one: Instruction, why: str, how: str = "Correct the Dockerfile, and deploy again.") -> BuildError:
    """The error for an instruction."""
    return BuildError(f"Dockerfile, line {one.line}: “{f'{one.word} {one.rest}'[:80]}” cannot be followed.", details=why, resolution=how)


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines as the daemon joins them: comments and empty lines go, also between continued ones."""
    found: list[tuple[int, str]] = []
    begun, held = 0, ""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if len(lines) > MOST_LINES:
        raise BuildError(f"The Dockerfile has more than {MOST_LINES} lines.", resolution="Put what it does into a script.")
    for number, raw in enumerate(lines, start=1):
        if re.fullmatch(r"#\s*escape\s*=\s*`\s*", raw.strip(), re.IGNORECASE) and not found:
            raise BuildError("The Dockerfile changes its escape character.", resolution="Remove the line “# escape=`”, and deploy again.")
        line = raw if begun else raw.lstrip()
        if raw.lstrip().startswith("#") or not line.strip():
            continue
        begun = begun or number
        joined = _CONTINUED.sub("", line)
        held += joined
        if joined == line:
            found.append((begun, held.strip()))
            begun, held = 0, ""
    if held.strip():
        found.append((begun, held.strip()))
    return [(number, line) for number, line in found if line]


def _instruction(number: int, line: str) -> Instruction:
    word, _, rest = line.replace("\t", " ").partition(" ") if "\t" in line.split(" ", 1)[0] else line.partition(" ")
    one = Instruction(number, word.upper(), rest.strip())
    if one.word not in PASSED | NOT_FOLLOWED.keys() | {"FROM", "COPY", "ADD"}:
        how = "Here-documents need BuildKit; put the lines into a script and COPY it." if number > 1 else "Correct it, and deploy again."
        raise BuildError(f"Dockerfile, line {number}: “{word[:40]}” is no instruction.", resolution=how)
    if not one.rest or one.rest.endswith("\\") or any(ord(character) < 32 and character != "\t" for character in one.rest):
        raise wrong(one, "It has nothing after it, ends with a backslash, or holds characters that cannot be printed.")
    return one


def _args(one: Instruction) -> list[tuple[str, str]]:
    try:
        words = shlex.split(one.rest)
    except ValueError:
        raise wrong(one, "A quotation mark is missing.") from None
    found = [_ARG.fullmatch(word) for word in words]
    if not all(found):
        raise wrong(one, "ARG is followed by a name, or by name=value.")
    return [(match[1], match[2] or "") for match in found if match]


def _stage(one: Instruction, known: Mapping[str, str], before: list[Stage]) -> Stage:
    words = [word for word in one.rest.split() if not word.lower().startswith("--platform=")]
    if any(word.startswith("--") for word in words) or len(words) not in (1, 3) or (len(words) == 3 and words[1].lower() != "as"):
        raise wrong(one, "FROM is followed by an image, and perhaps by AS and a name.")
    name = words[2].lower() if len(words) == 3 else ""
    if name and not _STAGE.fullmatch(name):
        raise wrong(one, "A stage's name has small letters, digits, dots, dashes and underscores, and begins with a letter.")
    base = _VARIABLE.sub(lambda match: known.get(match[1] or match[3], "") or match[2] or "", words[0])
    if base == "scratch":
        return Stage(one.line, None, "scratch", name)
    if base.lower() in {stage.name for stage in before if stage.name}:
        return Stage(one.line, None, base.lower(), name)
    try:
        return Stage(one.line, parse_reference(base), name=name)
    except InvalidValueError as error:
        raise wrong(one, f"{error.message} {error.resolution}") from error


def _check(one: Instruction, stages: list[Stage]) -> None:
    flags, rest = _flags(one.rest)
    if one.word == "RUN" and flags:
        raise wrong(one, f"{flags[0].partition('=')[0]} needs BuildKit, which this platform does not use.", "Do without it; see the docs.")
    if one.word in {"RUN", "COPY", "ADD"} and _HEREDOC.search(rest):
        raise wrong(one, "Here-documents need BuildKit, which this platform does not use.", "Put the lines into a script and COPY it.")
    if one.word in {"COPY", "ADD"}:
        _check_copy(one, flags, rest, stages)
    if one.word == "LABEL" and "sitewright." in one.rest.replace("org.sitewright", ""):
        raise wrong(one, "Labels that begin with sitewright. are the platform's own.")


def _flags(rest: str) -> tuple[list[str], str]:
    flags = []
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        flags.append(flag)
        rest = rest.lstrip()
    return flags, rest


def _check_copy(one: Instruction, flags: list[str], rest: str, stages: list[Stage]) -> None:
    for flag in flags:
        name, _, value = flag.partition("=")
        earlier = {stage.name for stage in stages[:-1] if stage.name} | {str(index) for index in range(len(stages) - 1)}
        if name == "--from" and one.word == "COPY" and value.lower() not in earlier:
            raise wrong(one, "--from names no stage before this one.", "Write FROM image AS name before, and --from=name here.")
        if name not in ({"--from", "--chown"} if one.word == "COPY" else {"--chown"}):
            raise wrong(one, f"{name} needs BuildKit, which this platform does not use.", "Do it with RUN in a line of its own.")
    if one.word == "ADD" and not all(_PLAIN_PATH.fullmatch(source) for source in _sources(one, rest)):
        raise wrong(
            one,
            "ADD takes files of the source only: what the machine itself would fetch could be something that no site may reach.",
            "Fetch it with RUN, or put it into the source and name it without variables and quotation marks.",
        )


def _sources(one: Instruction, rest: str) -> list[str]:
    if rest.startswith("["):
        try:
            words = json.loads(rest)
        except ValueError:
            raise wrong(one, "The list is not valid JSON.") from None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise wrong(one, "The list holds something that is no text.")
        return [str(word) for word in words[:-1]]
    return rest.split()[:-1]
