"""Pictures of a running platform's pages, for the documentation and for looking at them:

    python -m sitewright.testing.pictures SIGN_IN_LINK FOLDER [SITE]

The link is the one that `sitewright up` prints; it is used up. Each page is taken in light, in dark and at a phone's width.
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

from sitewright.testing.chromium import DESK, PHONE, Chromium, chromium

LOOKS = {"light": (DESK, False), "dark": (DESK, True), "phone": (PHONE, False)}


def pages(site: str) -> dict[str, str]:
    """Name of the picture → address."""
    return {
        "sites": "/sites/",
        "new": "/new/",
        "site": f"/sites/{site}/",
        "releases": f"/sites/{site}/releases/",
        "release": f"/sites/{site}/releases/1/",
        "builds": f"/sites/{site}/builds/",
        "channels": f"/sites/{site}/channels/",
        "code": f"/sites/{site}/code/",
        "connection": f"/sites/{site}/connection/",
        "previews": f"/sites/{site}/previews/",
        "timeline": f"/sites/{site}/timeline/",
        "logs": f"/sites/{site}/logs/",
        "settings": f"/sites/{site}/settings/",
        "account": "/accounts/",
        "platform": "/platform/",
        "plans": "/platform/plans/",
    }


def sign_in(browser: Chromium, link: str) -> str:
    """Use the link; the manager's address."""
    browser.open(link)
    browser.click("main form button")
    browser.wait_for("location.pathname === '/sites/'")
    place = urlsplit(link)
    return f"{place.scheme}://{place.netloc}"


def take(link: str, folder: Path, site: str) -> list[Path]:
    """All pictures; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with chromium() as browser:
        manager = sign_in(browser, link)
        browser.open(f"{manager}/accounts/")  # what was to be told once has been told
        for look, (size, dark) in LOOKS.items():
            browser.size(*size)
            browser.dark(dark)
            for name, path in pages(site).items():
                browser.open(manager + path)
                taken.append(folder / f"{name}-{look}.png")
                browser.picture(taken[-1])
    return taken


if __name__ == "__main__":
    link, folder, *rest = sys.argv[1:]
    for path in take(link, Path(folder), rest[0] if rest else "guestbook"):
        sys.stdout.write(f"{path}\n")
