"""sitewright.toml: what is understood, and what is said with its line."""

from __future__ import annotations

import re
import textwrap
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitewright.builder.config.lines import Lines
from sitewright.builder.config.parse import check_config, parse_config
from sitewright.builder.config.schema import json_schema, reference
from sitewright.builder.config.versions import fits
from sitewright.domain.pages import HeaderRule, RedirectRule, Wishes
from sitewright.domain.processes import HealthCheck

WHOLE = """
[build]
command = "npm run build"
output = "dist/"
root = "./apps/web"
versions = { node = ">=18", python = 3.11 }

[processes]
worker = "python worker.py"

[processes.web]
command = "gunicorn app:app"
instances = 2
memory = "256 MB"
cpu = 0.5
health = { path = "/healthz", start = "2 min" }

[cron.tidy]
schedule = "30 3 * * *"
timezone = "Europe/Berlin"
overlap = true
command = "python tidy.py"
memory = 64

[sleep]
after = "30 min"
stop_after = 7200

[resources]
cpu = 1

[env]
DEBUG = false
RETRIES = 3

[pages]
spa = true
not_found = "/errors/404.html"

[cache]
"/assets/*" = "immutable"
"/news" = "1 hour"

[[headers]]
path = "/*"
values = { X-Frame-Options = "DENY" }

[[redirects]]
from = "/old/*"
to = "/new/:splat"
status = 308

[[redirects]]
from = "/find"
to = "/by/:id"
query = { id = ":id" }
force = true

[[rewrites]]
from = "/app/*"
to = "/index.html"

[channels.staging]
sleep = { never = true }
env = { DEBUG = true }
processes = { web = { instances = 1 } }
"""


def test_a_whole_file_is_understood():
    config, problems = parse_config(WHOLE)
    assert problems == ()
    assert (config.build.command, config.build.output, config.build.root) == ("npm run build", "dist", "apps/web")
    assert dict(config.build.versions) == {"node": ">=18", "python": "3.11"}
    assert dict(config.lines) == {
        "worker": "python worker.py",
        "web": "gunicorn app:app",
        "cron-tidy": "30 3 * * * TZ=Europe/Berlin overlap python tidy.py",
    }
    assert dict(config.health) == {"web": HealthCheck(path="/healthz", startup_seconds=120.0)}
    assert config.wishes == Wishes(
        memory_mb=(("web", 256), ("cron-tidy", 64)),
        cpu_millicores=(("web", 500),),
        count=(("web", 2),),
        freeze_after_seconds=1800.0,
        stop_after_seconds=7200.0,
        env=(("DEBUG", "false"), ("RETRIES", "3")),
    )
    assert (config.cpu_millicores, config.memory_mb, config.spa, config.rules.not_found) == (1000, None, "index.html", "errors/404.html")
    assert config.rules.headers == (
        HeaderRule("/assets/*", (("Cache-Control", "public, max-age=31536000, immutable"),)),
        HeaderRule("/news", (("Cache-Control", "public, max-age=3600"),)),
        HeaderRule("/*", (("X-Frame-Options", "DENY"),)),
    )
    assert config.rules.redirects == (
        RedirectRule("/old/*", "/new/:splat", 308),
        RedirectRule("/find", "/by/:id", 301, True, (("id", ":id"),)),
        RedirectRule("/app/*", "/index.html", 200),
    )
    staging = Wishes(count=(("web", 1),), freeze_after_seconds=0.0, stop_after_seconds=0.0, env=(("DEBUG", "true"),))
    assert config.channels == (("staging", staging),)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[build]\n\noutptu = 'x'", 3, "Did you mean “output”?"),
        ("[bulid]\noutput = 'x'", 1, "Did you mean “build”?"),
        ("x = 1", 1, "Known: build, cache"),
        ("[build\noutput = 'x'", 1, "This is not TOML"),
        ("[build]\noutput = dist", 2, "This is not TOML"),
        ("[build]\noutput = '../up'", 2, "a folder of the repository"),
        ("build = 3", 1, "is a table"),
        ("[processes.web]\ncommand = 'x'\ninstances = 99", 3, "a number from 0 to 16"),
        ("[processes.web]\ninstances = 0", 2, "at least one web process"),
        ("[processes]\nrun = 'x'", 2, "runs by hand"),
        ("[processes]\ncron-x = 'y'", 2, "[cron.x]"),
        ("[processes]\nWeb = 'x'", 2, "cannot be a process type"),
        ("[processes.web]\ncommand = '''a\nb'''", 2, "one line"),
        ("[cron.tidy]\ncommand = 'x'", 1, "has no “schedule”"),
        ("[cron.tidy]\nschedule = '61 * * * *'\ncommand = 'x'", 2, "its minute is not understood"),
        ("[cron.tidy]\nschedule = '0 0 30 2 *'\ncommand = 'x'", 2, "no schedule"),
        ("[sleep]\nafter = '30 parsecs'", 2, "a length of time"),
        ("[sleep]\nafter = '1 h'\nnever = true", 3, "Leave one of the two out"),
        ("[[redirects]]\nfrom = '/a'\nto = '/c'\n[[redirects]]\nto = '/b'", 4, "has no “from”"),
        ("[[redirects]]\nfrom = '/a'\nto = '//evil.test'", 3, "no target"),
        ("[[redirects]]\nfrom = '/a'\nto = 'javascript:alert(1)'", 3, "no target"),
        ("[[redirects]]\nfrom = '/a'\nto = 'https://:x/y'", 3, "no target"),
        ("[[redirects]]\nfrom = '/a'\nto = '/:who'", 1, "“:who”"),
        ("[[redirects]]\nfrom = '/(.*)'\nto = '/x'", 2, "not at the end"),
        ("[[redirects]]\nfrom = '/a'\nto = '/b'\nstatus = 418", 4, "Allowed: 200, 301"),
        ("[[rewrites]]\nfrom = '/a'\nto = 'https://else.test/'", 1, "not of this site"),
        ("[redirects]\nfrom = '/a'", 1, "[[redirects]]"),
        ("[[headers]]\npath = '/*'\n[headers.values]\nSet-Cookie = 'a=1; Domain=x.test'", 1, "neighbours"),
        ("[[headers]]\npath = '/*'\nvalues = { X-Accel-Redirect = '/x' }", 1, "steers the router"),
        ("[[headers]]\npath = '/*'\nvalues = { 'Bad Name' = 'x' }", 1, "no name of a header"),
        ('[[headers]]\npath = "/*"\nvalues = { X-A = "a\\r\\nSet-Cookie: b" }', 1, "control characters"),
        ("[[headers]]\npath = '/*'\nvalues = { Strict-Transport-Security = 'max-age=1; includeSubDomains' }", 1, "includeSubDomains"),
        ("[cache]\n'/x' = 'a while'", 2, "immutable"),
        ("[cache]\n'x' = '1 h'", 2, "begins with “/”"),
        ("[env]\nPORT = '1'", 2, "set by the platform"),
        ("[env]\n'a b' = '1'", 2, "variable name"),
        ("[channels.Staging.env]\nA = '1'", 1, "channel name"),
        ("[channels.staging]\nbuild = 'x'", 2, "“build” is not known in [channels.staging]"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text, line, said):
    problems = check_config(text)
    assert problems, text
    assert (problems[0].line, problems[0].warning) == (line, False), problems[0]
    assert said in str(problems[0])
    assert str(problems[0]).startswith(f"sitewright.toml, line {line}: ")


def test_a_secret_is_warned_of_and_followed():
    config, problems = parse_config("[env]\nSTRIPE_KEY = 'sk_live_abcdefghijklmnop'\nHOST = 'example.org'")
    assert [(one.line, one.warning) for one in problems] == [(2, True)]
    assert len(config.wishes.env) == 2


def test_lines_are_found_beside_long_texts_and_lists():
    text = 'a = """\n[not]\nb = 1\n"""\nc = [\n  "d = 1",\n]\n[x."y.z"]\n"k k" = 1\n[[l]]\nm = 1\n[[l]]\nm = { n = 2 }\n[l.o]\np = 1'
    lines = Lines(text)
    assert [lines.of(*path) for path in (("a",), ("c",), ("x", "y.z", "k k"), ("l", 0, "m"), ("l", 1, "m", "n"), ("l", 1, "o", "p"))] == [
        *(1, 5, 9, 11, 13, 15)
    ]


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_text_is_more_than_wrong(text):
    parse_config(text)


@given(st.lists(st.sampled_from([*WHOLE.splitlines(), '"""', "'''", "[[a]]", "x = [", "]", '"', "\\", "# c", "\t"]), max_size=30))
@settings(max_examples=300, deadline=None)
def test_no_mixture_of_lines_is_more_than_wrong(lines):
    for problem in check_config("\n".join(lines)):
        assert 0 <= problem.line <= len(lines) + 1


@pytest.mark.parametrize(
    ("version", "bounds", "expected"),
    [
        ("3.11.2", "3.11", True),
        ("3.11.2", ">=3.12", False),
        ("18.20.4", ">=18,<23", True),
        ("18.20.4", "<18", False),
        ("18.20.4", "^18.1", True),
        ("18.20.4", "20.x", False),
        ("8.2", "~8.1", False),
        ("8.2.1", "<=8.2", True),
        ("8.2.1", ">8.2", False),
    ],
)
def test_versions(version, bounds, expected):
    assert fits(version, bounds) is expected


def test_every_example_of_the_reference_page_is_right():
    page = Path("docs/reference/config-file.md").read_text()
    assert page == reference()
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", page, re.MULTILINE)
    assert len(blocks) >= 10
    for block in blocks:
        text = textwrap.dedent(block)
        assert [one for one in check_config(text) if "never" not in one.message] == [], text


def test_the_schema_knows_every_key_and_no_other():
    schema = json_schema()
    assert schema["additionalProperties"] is False
    document = tomllib.loads(WHOLE)
    assert document.keys() <= schema["properties"].keys()
    redirect = schema["properties"]["redirects"]["items"]
    assert redirect["required"] == ["from", "to"]
    assert redirect["properties"]["status"]["enum"] == [200, 301, 302, 303, 307, 308, 404, 410]
    assert schema["properties"]["processes"]["additionalProperties"]["anyOf"][1] == {"type": "string"}


PIECES = ("a.", "[", "{a=", '"', " ", "[[redirects]]\n", "k=1\n", "[a.b]\n", "x=[1,", "\\", "1,", "'", "a.a.a.a.a\n")


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("before", ["", "x = ", "[", "[env]\nA = '", 'x = """'])
def test_no_file_takes_long(before, piece):
    long = before + piece * 60_000
    lines = "\n".join(before + (piece * 4_900)[: 4_980 - len(before)] for _ in range(19))
    began = time.process_time()
    parse_config(long[:99_000])
    parse_config(lines[:99_000])
    assert time.process_time() - began < 3
