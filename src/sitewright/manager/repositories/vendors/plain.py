"""Any other server: whoever can run a command after a push can tell us.

`X-Sitewright-Signature: t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA-256 of `SECONDS.BODY` under the web hook's secret. The body is empty
or `{"ref": "refs/heads/main"}`.
"""

from __future__ import annotations

import re

from sitewright.errors import InvalidValueError
from sitewright.manager.repositories.vendors import reading
from sitewright.manager.repositories.vendors.base import Headers
from sitewright.manager.repositories.vendors.github import INCOMPLETE, NOT_UNDERSTOOD
from sitewright.manager.repositories.vendors.signing import signed
from sitewright.manager.repositories.vendors.values import Call, HookEvent, Pushed, StatusNews, There

LONGEST_SECONDS = 300.0
"""How far its clock may be from ours, and how long a signature is good for."""
_FORM = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


class Plain:
    """Our own scheme."""

    reports = False
    git_user = "git"

    def verify(self, headers: Headers, body: bytes, secret: str, now: float) -> bool:
        """The signature is right and at most five minutes old."""
        found = _FORM.fullmatch(headers.get("x-sitewright-signature", ""))
        seconds, given = found.groups() if found else ("0", "")
        right = signed(secret, seconds.encode() + b"." + body, given)
        return right and abs(now - int(seconds)) <= LONGEST_SECONDS

    def delivery(self, headers: Headers) -> str:
        """The signature itself: it is another one each second."""
        found = _FORM.fullmatch(headers.get("x-sitewright-signature", ""))
        return f"t{found[1]}-{found[2][:40]}" if found else ""

    def event(self, headers: Headers) -> str:  # noqa: ARG002 - there is only one
        """Always a push."""
        return "push"

    def parse(self, event: str, headers: Headers, body: bytes) -> HookEvent:  # noqa: ARG002 - there is only one
        """A push of the reference that it names, or of something."""
        if not body.strip():
            return Pushed(ref="", old="", new="")
        found = reading.document(headers, body)
        if found is None:
            return NOT_UNDERSTOOD
        ref = reading.reference(found.get("ref"))
        return Pushed(ref=ref, old="", new="") if ref or "ref" not in found else INCOMPLETE

    def pull_ref(self, number: int) -> str:  # noqa: ARG002 - there are none
        """None."""
        return ""

    def status(self, there: There, news: StatusNews) -> Call:  # noqa: ARG002 - nobody to tell
        """Raises InvalidValueError: there is nobody to tell."""
        raise _nobody()

    def comments(self, there: There, number: int) -> Call:  # noqa: ARG002 - nobody to tell
        """Raises InvalidValueError."""
        raise _nobody()

    def comment(self, there: There, number: int, text: str, known: str = "") -> Call:  # noqa: ARG002 - nobody to tell
        """Raises InvalidValueError."""
        raise _nobody()

    def hook(self, there: There, address: str, secret: str) -> Call:  # noqa: ARG002 - nobody to tell
        """Raises InvalidValueError."""
        raise _nobody()


def _nobody() -> InvalidValueError:
    return InvalidValueError("A plain git server has no interface to be told something by.")
