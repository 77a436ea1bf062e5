"""The platform's own pages, as values and as text: one HTML and one JSON file (RFC 9457) each. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Page:
    """What a visitor is told when there is no answer from a site. ``refresh`` seconds, 0 for never."""

    name: str
    status: int
    heading: str
    text: str
    hint: str
    accent: str = "#5b7bd5"
    refresh: int = 0


PAGES = (
    Page(
        name="unknown",
        status=404,
        heading="There is no site here",
        text="Nothing is published under this address.",
        hint="Check the spelling. If it is your site, look in the manager which addresses it has.",
    ),
    Page(
        name="notfound",
        status=404,
        heading="This page does not exist",
        text="The site is there, but it has no page with this address.",
        hint="Check the spelling, or begin at the site's front page.",
    ),
    Page(
        name="stopped",
        status=503,
        heading="This site is stopped",
        text="Its owner has switched it off for now.",
        hint="If it is yours, start it in the manager.",
    ),
    Page(
        name="starting",
        status=503,
        heading="This site is starting",
        text="It will be here in a moment. This page tries again by itself.",
        hint="The first start after a change takes a little longer.",
        accent="#3a9d6c",
        refresh=2,
    ),
    Page(
        name="crashed",
        status=502,
        heading="This site does not answer",
        text="Its program has stopped, or broke off before it answered. It is started again by itself.",
        hint="If it is yours, its logs in the manager say what happened.",
        accent="#c9503f",
    ),
    Page(
        name="slow",
        status=504,
        heading="This site takes too long",
        text="Its program was asked and did not answer in time.",
        hint="Try again later. If it is yours, its logs in the manager may say what it was busy with.",
        accent="#c98a2b",
    ),
    Page(
        name="busy",
        status=503,
        heading="This site is busy",
        text="More people are asking for it than it can answer at once.",
        hint="Try again in a moment.",
        accent="#c98a2b",
        refresh=5,
    ),
    Page(
        name="waking",
        status=503,
        heading="This site is waking up",
        text="It was asleep, or is just being started again. It opens here by itself in a moment.",
        hint="Nothing is lost while a site sleeps.",
        accent="#3a9d6c",
        refresh=1,
    ),
    Page(
        name="late",
        status=503,
        heading="This site was not there in time",
        text="It was being started or woken, and nothing of this request has reached it.",
        hint="Send the request again in a moment.",
        accent="#c98a2b",
    ),
    Page(
        name="limited",
        status=429,
        heading="Too many requests at once",
        text="This site takes a limited number of requests, and there are more at the moment.",
        hint="Try again in a moment. If the site is yours, its settings and plan say how many it takes.",
        accent="#c98a2b",
    ),
    Page(
        name="oversize",
        status=413,
        heading="This upload is too large",
        text="It is larger than this site takes in one request.",
        hint="Send it in smaller parts. If the site is yours, its settings and plan say how much it takes.",
        accent="#c98a2b",
    ),
    Page(
        name="large",
        status=413,
        heading="This upload is too large",
        text="One request may hold 1 GiB.",
        hint="Send it in smaller parts.",
        accent="#c98a2b",
    ),
    Page(
        name="manager",
        status=503,
        heading="The manager is restarting",
        text="It will be back in a moment. This page tries again by itself. Sites are not affected.",
        hint="If this lasts longer than a minute, tell whoever runs this machine.",
        refresh=2,
    ),
)


def html(page: Page, layout: str) -> str:
    """The page for a browser; nginx puts the request's id in."""
    waiting = '<span class="wait"></span>' if page.refresh else ""
    values = {
        "refresh": f'<meta http-equiv="refresh" content="{page.refresh}">' if page.refresh else "",
        "title": escape(page.heading),
        "accent": page.accent,
        "status": f"{waiting}{page.status}",
        "heading": escape(page.heading),
        "text": escape(page.text),
        "hint": escape(page.hint),
    }
    return fill(layout, values)


def problem(page: Page) -> str:
    """The page for a program: application/problem+json; nginx puts the request's id in."""
    fields = {
        "type": "about:blank",
        "title": page.heading,
        "status": page.status,
        "detail": page.text,
        "resolution": page.hint,
        "code": page.name,
        "request_id": '<!--# echo var="told_id" -->',
    }
    return json.dumps(fields, ensure_ascii=False).replace('\\"', '"') + "\n"


def fill(template: str, values: dict[str, str]) -> str:
    """*template* with each ``%{name}`` replaced. Raises KeyError for a name without a value (nginx's own variables are ``$name``)."""
    parts = template.split("%{")
    filled = [parts[0]]
    for part in parts[1:]:
        name, _, rest = part.partition("}")
        filled.append(values[name] + rest)
    return "".join(filled)
