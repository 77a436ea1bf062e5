"""Words, tones and icons for templates. Loaded into every template as a builtin."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django import template
from django.conf import settings
from django.forms import BoundField, CheckboxInput, Select, Widget
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from sitewright.manager.durations import passed
from sitewright.manager.pages.assets import built_file
from sitewright.manager.pages.colours import coloured

register = template.Library()

TONES: Final = {
    **dict.fromkeys(("running", "ready", "succeeded", "done", "live", "ok", "serving"), "good"),
    **dict.fromkeys(("new", "deploying", "starting", "deleting", "queued", "waiting", "stopping", "evacuating", "pending"), "busy"),
    **dict.fromkeys(("crashed", "failed", "late"), "bad"),
    **dict.fromkeys(("stopped", "cancelled", "gone", "skipped"), "off"),
    **dict.fromkeys(("sleeping", "frozen"), "idle"),
}
"""State → tone of its dot. `new` and `running` of other nouns are settled in ``tone``."""

EVENT_TONES: Final = (
    (("failed", "crashed", "out_of_memory", "aborted"), "bad"),
    (("unhealthy", "backoff", "dropped", "missed", "skipped", "limit."), "busy"),
    (("succeeded", "live", "ready", "created", "started", "promoted", "woke", "rolled_back", "cron.finished"), "good"),
)

EVENT_ICONS: Final = (
    ("site.slept", "moon"),
    ("site.wo", "sun"),
    ("site.wake", "sun"),
    ("cron.", "clock"),
    ("canary.", "trial"),
    ("release.rolled_back", "back"),
    ("release.", "upload"),
    ("build.", "layers"),
    ("channel.scaled", "gauge"),
    ("channel.", "sliders"),
    ("change.", "sliders"),
    ("limit.", "gauge"),
    ("log.", "gauge"),
    ("env.", "key"),
    ("exec.", "terminal"),
    ("site.started", "play"),
    ("site.stopped", "stop"),
    ("site.restarted", "restart"),
    ("site.created", "plus"),
    ("site.deleted", "cross"),
    ("site.", "file"),
    ("instance.ready", "check"),
    ("instance.", "alert"),
)
"""Beginning of an event's kind → its icon, first match."""


@register.filter
def tone(state: str, noun: str = "") -> str:
    """The dot's tone of a state: good, busy, bad, off or idle. An operation or a build that runs is busy, a site that runs is good."""
    if noun in {"operation", "build"} and state == "running":
        return "busy"
    if noun == "site" and state == "new":
        return "off"
    return TONES.get(str(state), "idle")


@register.filter
def event_tone(kind: str) -> str:
    """The dot's tone of an event of the timeline."""
    for words, result in EVENT_TONES:
        if any(word in kind for word in words):
            return result
    return "idle"


@register.filter
def event_icon(kind: str) -> str:
    """The icon of an event of the timeline."""
    return next((icon for beginning, icon in EVENT_ICONS if kind.startswith(beginning)), "check")


@register.inclusion_tag("parts/state.html")
def state(word: str, noun: str = "site") -> dict[str, str]:
    """A dot and the word."""
    return {"word": str(word), "tone": tone(word, noun)}


@register.simple_tag
def asset(name: str) -> str:
    """The address of a built file, with its fingerprint, so that a browser keeps it until it changes."""
    return f"{settings.STATIC_URL}sitewright/{name}?{built_file(name).fingerprint}"


@register.simple_tag
def icon(name: str) -> SafeString:
    """One of our line icons; decoration only, the words beside it carry the meaning."""
    return format_html('<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>', asset("icons.svg"), name)


CONTROLS: dict[type[Widget], str] = {Select: "form-select", CheckboxInput: "form-check-input"}


@register.filter
def control(field: BoundField) -> SafeString:
    """A form field drawn as one of our controls, whoever made the form; a wrong one says so to screen readers."""
    kind = next((name for widget, name in CONTROLS.items() if isinstance(field.field.widget, widget)), "form-control")
    marks = {"aria-invalid": "true"} if field.errors else {}
    return field.as_widget(attrs={**field.field.widget.attrs, "class": kind, **marks})


@register.filter
def ago(moment: datetime | None) -> str:
    """How long ago, in one unit: `just now`, `5 min ago`, `3 h ago`, `2 days ago`, then the date."""
    if moment is None:
        return "never"
    passed = timezone.now() - moment
    if passed < timedelta(minutes=1):
        return "just now"
    if passed < timedelta(hours=1):
        return f"{int(passed.total_seconds() // 60)} min ago"
    if passed < timedelta(days=1):
        return f"{int(passed.total_seconds() // 3600)} h ago"
    if passed < timedelta(days=7):
        return f"{passed.days} day{'' if passed.days == 1 else 's'} ago"
    return f"{moment:%-d %b %Y}"


@register.filter
def lasting(moment: datetime | None) -> str:
    """For how long already: `a moment`, `12 min`, `3 h`, `2 days`."""
    return "a moment" if moment is None else passed(max((timezone.now() - moment).total_seconds(), 0.0))


@register.filter
def ahead(moment: datetime | None) -> str:
    """When something will be: `now`, `in 12 min`, `in 3 h`, `in 2 days`; "" without a moment."""
    if moment is None:
        return ""
    seconds = (moment - timezone.now()).total_seconds()
    return "now" if seconds < 1 else "in less than a minute" if seconds < 60 else f"in {passed(seconds)}"


@register.filter
def latency(seconds: float | None) -> str:
    """How long an answer took: `21 ms`, `1.4 s`; `–` when nothing was measured."""
    if not seconds:
        return "–"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


@register.filter
def thousandths(value: int) -> str:
    """Millicores as processors: `0.5`, `2`."""
    return f"{value / 1000:g}"


@register.filter
def share(part: int, whole: int) -> str:
    """A part of a whole in per cent: `0.8 %`; "" of nothing."""
    return f"{part / whole * 100:.1f} %" if whole else ""


@register.inclusion_tag("parts/time.html")
def when(moment: datetime | None) -> dict[str, object]:
    """A moment as `5 min ago`, the exact one in its title."""
    return {"moment": moment}


@register.filter
def took(step: object) -> str:
    """How long something with started_at and finished_at took: `0.4 s`, `12 s`, `2 min 5 s`; "" while it has not ended."""
    started, finished = getattr(step, "started_at", None), getattr(step, "finished_at", None)
    if started is None or finished is None:
        return ""
    seconds = max((finished - started).total_seconds(), 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@register.filter
def seconds(value: float) -> str:
    """A length of time: `4.2 s`, `38 s`, `12 min`."""
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s" if value < 120 else passed(value)


@register.filter
def size(value: float | None) -> str:
    """Bytes for people: `812 B`, `14 KB`, `3.2 MB`, `1.5 GB` (of 1024)."""
    amount = float(value or 0)
    for unit in ("B", "KB", "MB"):
        if amount < 1024:
            return f"{amount:.1f} {unit}" if unit == "MB" and amount < 10 else f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GB"


@register.filter
def ansi(text: str) -> SafeString:
    """A line of output with the colours that a program gave it."""
    return coloured(str(text))


@register.filter
def first_line(text: object) -> str:
    """The first line of a flash message: what happened."""
    return str(text).partition("\n")[0]


@register.filter
def other_lines(text: object) -> str:
    """The rest of a flash message: why, and what to do next."""
    return str(text).partition("\n")[2]
