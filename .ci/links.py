"""Links of the repository's pages: every relative one leads to a file, and to a heading where it names one.

Prints one line a dead link; exit code 1 when there is any.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")
ELSEWHERE = re.compile(r"^[a-z]+:")
TEMPLATES = "src/sitewright/builder/templates"


def pages() -> list[Path]:
    """The pages of the repository; a template's pages belong to its site."""
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(argv, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and not name.startswith(TEMPLATES) and (ROOT / name).is_file()]


def anchors(page: Path) -> set[str]:
    """What a heading is called in an address."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def dead(page: Path) -> Iterator[str]:
    """The links of *page* that lead nowhere."""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        for link in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if ELSEWHERE.match(link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
                yield f"{page.relative_to(ROOT)}:{number} leads nowhere: {link}"


def main() -> int:
    """Print the dead links."""
    found = [line for page in pages() for line in dead(page)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
