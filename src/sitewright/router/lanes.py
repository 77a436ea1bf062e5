"""The ways to an app in nginx's configuration, as text. Pure.

`app` is for requests whose body nginx receives whole, `socket` for web sockets, `stream` for long bodies and those of unknown length. Each
is there plain; `kept_`, for channels with a policy; and `wake_`, which asks the orchestrator first and goes on as `kept_` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.router.policy import BODY_TIERS, limit_lines

SITE_CONNECTIONS = 1024
"""Requests of one host name that may be under way in its app at a time; more get the page «busy», so that one site cannot use up the
router."""
ASKED, RULED = "$request_uri", "$app_uri"
"""What the app is asked for: what the visitor asked for, or what a page rule has put in its place."""
_COUNTED = f"limit_conn sites {SITE_CONNECTIONS};"
_LONG = ("proxy_read_timeout 3600s;", "proxy_send_timeout 3600s;")
_RULED = "if ($rule_headers) { js_header_filter pages.headers; }"
"""Headers that a channel's page rules add to its app's answers."""
_AGAIN = ("error_page 502 = $unanswered;", "if ($give_up) { return 502; }")


@dataclass(frozen=True, slots=True)
class Lane:
    """One location: what holds there, and which slot's socket it leads to (an expression of nginx's)."""

    name: str
    rules: tuple[str, ...]
    slot: str
    address: str = ASKED

    def text(self, routes: str, errors: str) -> str:
        """The location's block."""
        lines = [*self.rules, f"proxy_pass http://unix:{routes}/$host/{self.slot}:{self.address};"]
        inside = "\n".join(f"            {line}" for line in lines)
        return f"        location @{self.name} {{\n{inside}\n{errors}\n        }}\n"


def plain_lanes() -> list[Lane]:
    """For channels that ask for nothing special."""
    rules = (_COUNTED,)
    stream = (*rules, *_LONG, "proxy_request_buffering off;", "error_page 502 = $unsent;")
    return [*_pair("app", rules, "$slot"), *_pair("socket", (*rules, *_LONG), "$slot"), Lane("stream", stream, "$slot")]


def kept_lanes(gate: tuple[str, ...]) -> list[Lane]:
    """For channels with a policy, and for whoever has to be woken: *gate* is what asks for that. nginx's limit of a body of unknown length
    is a fixed number, so each tier has streams of its own."""
    rules = (_COUNTED, *limit_lines(), "add_header Set-Cookie $new_cookie always;", _RULED)
    lanes: list[Lane] = []
    for name, more in (("app", ()), ("socket", _LONG)):
        lanes += _pair(f"kept_{name}", (*rules, *more), "$kept_slot", RULED)
        lanes.append(Lane(f"wake_{name}", (*gate, *rules, *more, f"error_page 502 = @kept_{name}_again;"), "$kept_slot", RULED))
    for tier in (0, *BODY_TIERS):
        body = (f"client_max_body_size {tier}m;", f"if ($over_{tier}) {{ return 413; }}") if tier else ()
        stream = (*rules, *_LONG, *body, "proxy_request_buffering off;", "error_page 502 = $unsent;")
        lanes.append(Lane(f"kept_stream{tier}", stream, "$kept_slot", RULED))
        lanes.append(Lane(f"wake_stream{tier}", (*gate, *stream), "$kept_slot", RULED))
    return lanes


def _pair(name: str, rules: tuple[str, ...], slot: str, address: str = ASKED) -> tuple[Lane, Lane]:
    """The first try and the second, with another instance. A refused connection has sent nothing; after that only what may be done twice
    is sent twice."""
    first = Lane(name, (*rules, f"error_page 502 = @{name}_again;"), slot, address)
    return first, Lane(f"{name}_again", (*rules, *_AGAIN), f"a{slot}", address)
