"""Output of programs on pages: colours are kept, and nothing else of what a program writes is anything but text."""

from __future__ import annotations

import pytest

from sitewright.manager.pages.colours import coloured, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m and not", '<span class="ansi-1">red</span> and not'),
        ("\x1b[1;32mok\x1b[22m still green", '<span class="ansi-2 ansi-bold">ok</span><span class="ansi-2"> still green</span>'),
        ("\x1b[91mbright\x1b[39mplain", '<span class="ansi-9">bright</span>plain'),
        ("\x1b[38;5;4mblue\x1b[m", '<span class="ansi-4">blue</span>'),
        ("\x1b[38;5;200mmany\x1b[38;2;1;2;3mmore", "manymore"),
        ("\x1b[48;5;1mbackground", "background"),
        ("\x1b[4munder", '<span class="ansi-under">under</span>'),
        ("\x1b[38m\x1b[;mx", "x"),
    ],
)
def test_colours_become_spans(text: str, shown: str):
    assert coloured(text) == shown


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '\x1b[31m"><img src=x onerror=alert(1)>\x1b[0m', "\x1b[31;<b>mbold", "&amp;\x1b[1m<i>"]
)
def test_what_a_program_writes_is_never_markup(text: str):
    drawn = coloured(text)
    for tag in ("<script", "<img", "<b>", "<i>"):
        assert tag not in drawn


@pytest.mark.parametrize("text", ["\x1b]0;title\x07done", "\x1b[2Jdone", "\x1b[10;20Hdone", "do\x00ne\x08", "done\x1b", "\x1b[?25ldone"])
def test_other_sequences_do_nothing(text: str):
    assert "\x1b" not in coloured(text)
    assert "done" in plain(text).replace("0;title", "")


def test_a_file_has_the_words_alone():
    assert plain("\x1b[1;31mbad\x1b[0m <b>") == "bad <b>"


def test_a_very_long_line_of_sequences_is_no_work():
    assert coloured("\x1b[31m" * 20_000 + "end") == '<span class="ansi-1">end</span>'
