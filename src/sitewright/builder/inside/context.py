"""Runs inside a sandbox, as the site's user: packs the source for a container image's build, without what .dockerignore names.
Arguments: archive, Dockerfile to put into it, its name there, maximal bytes. Prints one line of JSON.

Links stay links, whatever they lead to; sockets, pipes and devices are left out. The archive holds no times and no users.
"""

import io
import os
import re
import stat
import sys
import tarfile


def rules_of(text: str) -> list[tuple[bool, re.Pattern[str]]]:
    """(keeps, pattern) for each line of a .dockerignore."""
    found = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        keeps = line.startswith("!")
        path = os.path.normpath(line.removeprefix("!").strip().strip("/") or ".")
        if path != ".":
            found.append((keeps, re.compile(translated(path))))
    return found


def translated(path: str) -> str:
    """A pattern of .dockerignore as a regular expression for whole paths."""
    done, at = "", 0
    while at < len(path):
        if path.startswith("**", at):
            at += 2
            if path.startswith("/", at):
                at += 1
                done += "(?:.*/)?"
            else:
                done += ".*"
        elif path[at] == "*":
            done, at = done + "[^/]*", at + 1
        elif path[at] == "?":
            done, at = done + "[^/]", at + 1
        else:
            done, at = done + re.escape(path[at]), at + 1
    return done


def is_left_out(path: str, rules: list[tuple[bool, re.Pattern[str]]]) -> bool:
    """The last rule that matches the path or a folder above it decides."""
    parts = path.split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    out = False
    for keeps, pattern in rules:
        if any(map(pattern.fullmatch, above)):
            out = not keeps
    return out


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def pack(archive: tarfile.TarFile, rules: list[tuple[bool, re.Pattern[str]]], most: int) -> tuple[int, int]:
    files = size = 0
    exceptions = any(keeps for keeps, _ in rules)
    for folder, folders, names in os.walk("."):
        inside = os.path.relpath(folder, ".")
        prefix = "" if inside == "." else inside + "/"
        folders.sort()
        for name in sorted([*names, *folders]):
            path = prefix + name
            kind = os.lstat(path).st_mode
            if is_left_out(path, rules):
                if name in folders and not exceptions:
                    folders.remove(name)
                continue
            if stat.S_ISDIR(kind) or stat.S_ISLNK(kind):
                archive.add(path, recursive=False, filter=plain)
            elif stat.S_ISREG(kind):
                files += 1
                size += os.lstat(path).st_size
                if most and size > most:
                    return files, -1
                with open(path, "rb") as content:
                    member = plain(archive.gettarinfo(path))
                    member.type, member.linkname, member.size = tarfile.REGTYPE, "", os.fstat(content.fileno()).st_size
                    archive.addfile(member, content)
    return files, size


def main() -> None:
    target, dockerfile, name, most = sys.argv[1:]
    rules = []
    try:
        with open(os.open(".dockerignore", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), errors="replace") as file:
            rules = rules_of(file.read(256 * 1024))
    except OSError:
        pass
    # The daemon takes away what its own .dockerignore names of these two; the owner's was followed already.
    hidden = f"{name}\n.dockerignore\n".encode()
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        files, size = pack(archive, [*rules, (False, re.compile(rf"\.dockerignore|{re.escape(name)}"))], int(most))
        with open(dockerfile, "rb") as file:
            for inside, content in ((name, file.read()), (".dockerignore", hidden)):
                member = tarfile.TarInfo(inside)
                member.size, member.mode = len(content), 0o644
                archive.addfile(member, io.BytesIO(content))
    print(f'{{"files": {files}, "bytes": {size}}}')


if __name__ == "__main__":
    main()
