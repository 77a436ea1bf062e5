"""Runs inside a sandbox, as the site's user, as a part of seal.py: what was installed into the current folder, from the notes that package
managers leave beside what they install. Standard library only; everything it reads is the tenant's, and bounded."""

import hashlib
import json
import os

MOST = 5000
MOST_BYTES = 16 * 1024 * 1024
MOST_HEADER = 64 * 1024
LONGEST = 300


def write(target: str) -> None:
    """A JSON object: {"components": [[kind, name, version, origin, digest] …], "complete": bool}."""
    found, complete = [], True
    for part in (python, npm, composer):
        try:
            found += part()
        except Exception:
            complete = False
    rows = [[str(value)[:LONGEST] for value in row] for row in found[:MOST]]
    with open(target, "w", encoding="utf-8") as file:
        json.dump({"components": rows, "complete": complete and len(found) <= MOST}, file)


def text(path: str, most: int = MOST_BYTES) -> str:
    """A regular file's text; "" when it is absent. Larger ones are an error."""
    if os.path.islink(path) or not os.path.isfile(path):
        return ""
    if os.path.getsize(path) > most:
        raise ValueError(path)
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def python() -> list[tuple[str, ...]]:
    found = []
    library = os.path.join(".venv", "lib")
    for version in sorted(os.listdir(library)) if os.path.isdir(library) else ():
        packages = os.path.join(library, version, "site-packages")
        for name in sorted(os.listdir(packages)) if os.path.isdir(packages) else ():
            if name.endswith(".dist-info"):
                found.append(distribution(os.path.join(packages, name)))
    return found


def distribution(folder: str) -> tuple[str, ...]:
    """PEP 376 and PEP 610: METADATA names it, direct_url.json says where it is from unless that is the index, RECORD lists its files."""
    with open(os.path.join(folder, "METADATA"), encoding="utf-8", errors="replace") as file:
        headers = file.read(MOST_HEADER).split("\n\n")[0].splitlines()
    fields = dict(line.partition(": ")[::2] for line in reversed(headers) if ": " in line)
    direct = text(os.path.join(folder, "direct_url.json"), MOST_HEADER)
    record = text(os.path.join(folder, "RECORD"))
    digest = f"record-sha256:{hashlib.sha256(record.encode()).hexdigest()}" if record else ""
    return "pypi", fields.get("Name", ""), fields.get("Version", ""), json.loads(direct).get("url", "") if direct else "", digest


def npm() -> list[tuple[str, ...]]:
    if not os.path.isdir("node_modules"):
        return []
    lock = text(os.path.join("node_modules", ".package-lock.json")) or text("package-lock.json")
    if not lock:
        return [row for row in map(manifest, modules()) if row]
    found: list[tuple[str, ...]] = []
    for path, entry in sorted(json.loads(lock).get("packages", {}).items()):
        if path.startswith("node_modules/") and not entry.get("link") and os.path.isdir(path):
            name = entry.get("name") or path.rpartition("node_modules/")[2]
            found.append(("npm", name, entry.get("version", ""), entry.get("resolved", ""), entry.get("integrity", "")))
    return found


def modules() -> "list[str]":
    """Folders of packages where another package manager than npm has installed them (pnpm's store included)."""
    store = os.path.join("node_modules", ".pnpm")
    tops = [os.path.join(store, name, "node_modules") for name in os.listdir(store)] if os.path.isdir(store) else ["node_modules"]
    found = []
    for top in tops:
        for name in sorted(os.listdir(top)) if os.path.isdir(top) else ():
            inner = os.path.join(top, name)
            found += [os.path.join(inner, scoped) for scoped in os.listdir(inner)] if name.startswith("@") else [inner]
    return sorted(folder for folder in found if os.path.isdir(folder) and not os.path.islink(folder))[:MOST]


def manifest(folder: str) -> tuple[str, ...] | None:
    content = text(os.path.join(folder, "package.json"), MOST_HEADER * 16)
    entry = json.loads(content) if content else {}
    return ("npm", entry["name"], entry.get("version", ""), "", "") if entry.get("name") else None


def composer() -> list[tuple[str, ...]]:
    content = text(os.path.join("vendor", "composer", "installed.json")) or (text("composer.lock") if os.path.isdir("vendor") else "")
    document = json.loads(content) if content else {}
    found: list[tuple[str, ...]] = []
    for entry in document.get("packages", []) if isinstance(document, dict) else document:
        dist = entry.get("dist") or {}
        origin = dist.get("url", "") or (entry.get("source") or {}).get("url", "")
        digest = f"sha1:{dist['shasum']}" if dist.get("shasum") else ""
        found.append(("composer", entry.get("name", ""), entry.get("version", "").removeprefix("v"), origin, digest))
    return found
