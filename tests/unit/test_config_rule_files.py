"""`_redirects`, `_headers` and app.json, and what follows from a configuration."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitewright.builder.config.app_json import parse_app_json
from sitewright.builder.config.follow import Followed, RuleFiles, finished, read_config, told, with_lines
from sitewright.builder.config.headers_file import parse_headers
from sitewright.builder.config.model import SiteConfig
from sitewright.builder.config.redirects_file import parse_redirects
from sitewright.builder.detect import detect
from sitewright.builder.packs.base import Toolchain
from sitewright.builder.tree import Tree
from sitewright.domain.pages import HeaderRule, PageRules, RedirectRule
from sitewright.domain.release import Blueprint
from sitewright.errors import BuildError

REDIRECTS = """\ufeff# a comment
/home              /
/blog/my-post.php  /blog/my-post  # and one more
/news              /blog 302
/cuties            https://www.petsofnetlify.com
/store id=:id      /blog/:id  301
/articles id=:id tag=:tag /posts/:tag/:id 301
/news/:month/:date/:year/:slug  /blog/:year/:month/:date/:slug
/app/*  /app/index.html  200
/forced /x 302!
/anchor /page#part
"""


def test_redirects_of_netlify_and_cloudflare_are_understood():
    rules, problems = parse_redirects(REDIRECTS)
    assert problems == ()
    assert rules == (
        RedirectRule("/home", "/"),
        RedirectRule("/blog/my-post.php", "/blog/my-post"),
        RedirectRule("/news", "/blog", 302),
        RedirectRule("/cuties", "https://www.petsofnetlify.com"),
        RedirectRule("/store", "/blog/:id", 301, query=(("id", ":id"),)),
        RedirectRule("/articles", "/posts/:tag/:id", 301, query=(("id", ":id"), ("tag", ":tag"))),
        RedirectRule("/news/:month/:date/:year/:slug", "/blog/:year/:month/:date/:slug"),
        RedirectRule("/app/*", "/app/index.html", 200),
        RedirectRule("/forced", "/x", 302, force=True),
        RedirectRule("/anchor", "/page#part"),
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/ /de 302 Language=de", "the condition Language is not understood"),
        ("/ /au 302 Country=au,nz", "the condition Country"),
        ("/admin/* /admin/:splat 200! Role=admin", "the condition Role"),
        ("http://old.example.org/* https://new.example.org/:splat 301!", "rules for one host"),
        ("/api/* https://api.example.org/:splat 200", "nothing is fetched from elsewhere"),
        ("/only", "there is no target"),
        ("/a /b 999", "is not understood"),
        ("/a /b 500", "the status 500"),
        ("/a/*/b /c", "not at the end"),
        ("/a //evil.test", "no target"),
        ("/a /:what", "which the path does not have"),
        ("no-slash /b", "is no path"),
    ],
)
def test_what_is_not_understood_is_told_with_its_line_and_left_out(line, said):
    rules, problems = parse_redirects(f"/first /x\n{line}\n/last /y")
    assert [rule.path for rule in rules] == ["/first", "/last"]
    assert [(one.line, one.warning) for one in problems] == [(2, True)]
    assert said in str(problems[0])


def test_headers_of_netlify_and_cloudflare_are_understood():
    text = """# comment
/*
  X-Frame-Options: DENY
  Cache-Control: max-age=0
  Cache-Control: no-store
\tLink: </a.css>; rel=preload
/static/*
  ! X-Frame-Options
/*.jpg
  Cache-Control: public, max-age=31536000
"""
    rules, problems = parse_headers(text)
    assert problems == ()
    assert rules == (
        HeaderRule("/*", (("X-Frame-Options", "DENY"), ("Cache-Control", "max-age=0, no-store"), ("Link", "</a.css>; rel=preload"))),
        HeaderRule("/static/*", (("X-Frame-Options", ""),)),
        HeaderRule("/*.jpg", (("Cache-Control", "public, max-age=31536000"),)),
    )


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("  X-A: b\n/x\n  X-A: b", 1, "before the first path"),
        ("/x\n  X-A: b\n  nonsense", 3, "is no header"),
        ("/x\n  X-A: b\n  Basic-Auth: a:b", 3, "passwords"),
        ("/x\n  X-A: b\n  Set-Cookie: a=1; Domain=.example.org", 3, "neighbours"),
        ("https://x.pages.dev/*\n  X-Robots-Tag: noindex\n/x\n  X-A: b", 1, "rules for one host"),
    ],
)
def test_headers_that_are_left_out_are_told_with_their_line(text, line, said):
    rules, problems = parse_headers(text)
    assert rules == (HeaderRule("/x", (("X-A", "b"),)),)
    assert problems[0].line == line
    assert said in str(problems[0])


@given(st.text(max_size=400))
@settings(max_examples=150, deadline=None)
def test_no_text_breaks_a_parser(text):
    parse_redirects(text)
    parse_headers(text)
    parse_app_json(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
@settings(max_examples=60, deadline=None)
def test_no_app_json_breaks_its_parser(value):

    parse_app_json(json.dumps({"env": value, "formation": value, "scripts": value, "buildpacks": value}))


def test_app_json_of_something_else_is_left_alone():
    assert parse_app_json('{"expo": {"name": "x"}}') == (SiteConfig(), ())


def follow(files: dict[str, str]) -> tuple[Followed, Tree]:
    source = Tree(tuple(sorted(files)), files)
    return read_config(source), source


def test_the_configuration_goes_before_the_procfile_and_that_before_what_is_found():
    files = {
        "sitewright.toml": "[processes.web]\ncommand = 'gunicorn -w 3 app:app'\nhealth = { path = '/up' }\n"
        "[cron.tidy]\nschedule='@daily'\ncommand='x'",
        "Procfile": "web: gunicorn other:app\nworker: python w.py\n",
        "app.py": "from flask import Flask\napp = Flask(__name__)\n",
        "requirements.txt": "flask\ngunicorn\n",
    }
    followed, source = follow(files)
    plan = detect(source, Toolchain(), followed.config)
    assert {one.type: one.own_words for one in plan.processes} == {
        "worker": "python w.py",
        "web": "gunicorn -w 3 app:app",
        "cron-tidy": "x",
    }
    assert next(one for one in plan.processes if one.type == "web").health.path == "/up"


def test_a_worker_in_the_configuration_leaves_what_answers_visitors_to_detection():
    files = {
        "sitewright.toml": "[processes]\nworker = 'python w.py'",
        "app.py": "from flask import Flask\napp = Flask(__name__)\n",
        "requirements.txt": "flask\ngunicorn\n",
    }
    followed, source = follow(files)
    plan = detect(source, Toolchain(), followed.config)
    assert [one.type for one in plan.processes] == ["web", "worker"]


def test_a_front_end_is_built_by_its_own_command_and_served_from_its_own_folder():
    files = {
        "sitewright.toml": "[build]\ncommand = 'npm run make'\noutput = 'made'",
        "package.json": '{"scripts": {"start": "node dev.js", "build": "vite build"}, "dependencies": {"vite": "1"}}',
    }
    followed, source = follow(files)
    plan = detect(source, Toolchain(), followed.config)
    assert [step.argv for step in plan.steps if step.usual or "sh" in step.argv[0]] == [("/bin/sh", "-c", "npm run make")]
    assert plan.layout is not None
    assert plan.layout.candidates == ("made",)
    assert plan.processes == ()


def test_a_runtime_that_is_not_there_is_said_before_anything_runs():
    files = {"sitewright.toml": "[build.versions]\npython = '>=3.99'", "app.py": "x", "Procfile": "web: python app.py"}
    followed, source = follow(files)
    with pytest.raises(BuildError, match=r"asks for python >=3\.99, and this platform has 3\.11"):
        detect(source, Toolchain(), followed.config)


def test_the_procfile_keeps_what_the_configuration_does_not_say():
    merged = with_lines(Tree(("Procfile",), {"Procfile": "# c\nWEB: a\nworker: b\n"}), SiteConfig(lines=(("web", "c"),)))
    assert merged.text("Procfile") == "# c\nworker: b\nweb: c\n"


STATIC = Blueprint(pack="static", stack="host", static_root="")


def test_a_last_rule_for_everything_is_a_fallback():
    done, _ = finished(STATIC, Followed(), RuleFiles(redirects="/a /b\n/* /app.html 200"))
    assert (done.fallback, done.rules.redirects) == ("app.html", (RedirectRule("/a", "/b"),))
    done, _ = finished(STATIC, Followed(), RuleFiles(redirects="/* /app.html 200\n/a /b"))
    assert (done.fallback, len(done.rules.redirects)) == ("", 2)


def test_rules_that_cannot_hold_together_are_left_out_and_told():
    shapes = "\n".join("/" + "/".join(f":x{place}" if number >> place & 1 else "a" for place in range(6)) + " /b" for number in range(40))
    done, followed = finished(STATIC, Followed(), RuleFiles(redirects=shapes))
    assert done.rules == PageRules()
    assert "different arrangements" in str(followed.problems[0])


def test_the_log_says_in_one_line_what_is_followed():
    files = {
        "sitewright.toml": "[processes]\nweb = 'a'\nworker = 'b'\n[sleep]\nafter = '30 min'\n[env]\nA_TOKEN = 'abcdefghijklm'\n"
        + "[[redirects]]\nfrom = '/a'\nto = '/b'\n" * 3,
        "netlify.toml": "",
        "app.json": '{"env": {}}',
    }
    followed, _ = follow(files)
    lines = told(STATIC, followed, {})
    assert lines[0] == "sitewright.toml: 2 processes, 3 redirects, 1 variable, sleeps after 30 min."
    assert len(lines) == 4
    assert "looks like a secret" in lines[1]
    assert "netlify.toml is not read" in lines[2]
    assert "app.json: not read: sitewright.toml goes before it." in lines[3]


@pytest.mark.parametrize("piece", ["/a /b\n", "x y z\n", "a ", "/", "a=b ", "\n", "/x\n  A: b\n", "\t\n"])
def test_no_file_takes_long(piece):
    text = (piece * 256_000)[:256_000]
    began = time.process_time()
    parse_redirects(text)
    parse_headers(text)
    assert time.process_time() - began < 2
