"""What is understood of a Dockerfile, and what the daemon is given."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitewright.builder.images.build import engine_for_images
from sitewright.builder.images.dockerfile import PASSED, parse_dockerfile, rendered
from sitewright.builder.images.facts import base_component, blueprint_of, packages_of
from sitewright.builder.inside.context import is_left_out, rules_of
from sitewright.builder.procfile import parse_procfile
from sitewright.domain.images import check_registry, parse_reference
from sitewright.domain.processes import Listen
from sitewright.engines.images import ImageFacts
from sitewright.engines.memory import MemoryEngine
from sitewright.errors import BuildError, InvalidValueError, SitewrightError

BASE = "sha256:" + "a" * 64


def given_to_the_daemon(text: str, **args: str) -> list[str]:
    parsed = parse_dockerfile(text, args)
    return rendered(parsed, dict.fromkeys(parsed.bases, BASE), "alice").splitlines()


def test_continued_lines_are_one_and_comments_go():
    text = "# syntax=docker/dockerfile:1\nFROM a\nRUN one \\\n# not this\n\n   && two\n"
    assert given_to_the_daemon(text) == [f"FROM {BASE}", 'LABEL org.sitewright.cache="alice"', "RUN one    && two"]


def test_every_from_is_what_was_fetched_and_a_stage_stays_a_stage():
    text = (
        "ARG TAG=1\nFROM --platform=linux/amd64 a:$TAG AS Build\nFROM build\nFROM scratch\nCOPY --from=build /x /x\nCOPY --from=0 /x /y\n"
    )
    lines = given_to_the_daemon(text, TAG="2")
    assert [line for line in lines if line.startswith("FROM")] == [f"FROM {BASE} AS build", "FROM build", "FROM scratch"]
    assert [str(base) for base in parse_dockerfile(text, {"TAG": "2"}).bases] == ["docker.io/library/a:2"]


@pytest.mark.parametrize(
    "line",
    [
        "ADD https://example.org/x /x",
        "ADD $SOURCE /x",
        'ADD ["http://10.0.0.1/x", "/x"]',
        "ADD git@example.org:x.git /x",
        "ADD h\\ttp://10.0.0.1/ /x",
        "COPY --from=alpine /x /x",
        "COPY --from=$X /x /x",
        "COPY --link x /x",
        "COPY <<EOF /x",
        "RUN --mount=type=bind,source=/ ls",
        "RUN --network=host ls",
        "RUN --security=insecure ls",
        "LABEL sitewright.platform=x",
        "INCLUDE x",
        "FROM",
        "FROM a b",
        "FROM $NOTHING",
        "FROM a AS ../x",
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_line(line):
    with pytest.raises(BuildError, match="line 2"):
        parse_dockerfile(f"FROM a\n{line}\n", {})


@pytest.mark.parametrize("text", ["", "# nothing\n", "RUN x\n", "ARG A\n", "# escape=`\nFROM a\n", "x\n" * 3000])
def test_what_is_no_dockerfile_is_refused(text):
    with pytest.raises(BuildError):
        parse_dockerfile(text, {})


@given(
    st.lists(
        st.sampled_from(
            ["FROM a", "RUN x \\", "# c", "", "ADD http://x /y", "COPY . .", "HEALTHCHECK x", "\\", 'ADD ["a",', "`", "ENV A=\\"]
        ),
        max_size=12,
    )
)
@settings(max_examples=300, deadline=None)
def test_the_daemon_only_ever_gets_lines_that_were_understood(lines):
    try:
        found = given_to_the_daemon("\n".join(lines))
    except SitewrightError:
        return
    for line in found:
        assert line.split(" ")[0] in PASSED | {"FROM", "COPY", "ADD"}
        assert not line.endswith("\\")
        assert "http://" not in line


def test_names_of_images_are_strict():
    assert str(parse_reference("python")) == "docker.io/library/python:latest"
    assert str(parse_reference("alice/app:1.2")) == "docker.io/alice/app:1.2"
    assert str(parse_reference("ghcr.io/a/b/c:1")) == "ghcr.io/a/b/c:1"
    assert str(parse_reference(f"localhost:5000/x:1@{BASE}")) == f"localhost:5000/x@{BASE}"
    for wrong in (
        "",
        "https://x/y",
        "Alice",
        "a:b:c",
        "user:pass@ghcr.io/x",
        "x@sha256:12",
        "../x",
        "a//b",
        "-x",
        "a b",
        "a:\n",
        "x" * 300,
    ):
        with pytest.raises(InvalidValueError):
            parse_reference(wrong)
    with pytest.raises(InvalidValueError, match=r"evil\.example\.org"):
        check_registry(parse_reference("evil.example.org/x"), ("docker.io",))


def test_an_image_runs_its_own_command_on_the_port_that_it_exposes():
    facts = ImageFacts(BASE, 1, ("/entry point",), ("serve", "$HOME"), (80, 443))
    blueprint = blueprint_of(facts, ())
    assert blueprint.process("web").command == "exec '/entry point' serve '$HOME'"
    assert (blueprint.process("web").listen, blueprint.port, blueprint.image) == (Listen.PORT, 80, BASE)
    assert blueprint_of(ImageFacts(BASE, 1, command=("x",)), ()).port == 8080
    with pytest.raises(BuildError, match="does not say what it runs"):
        blueprint_of(ImageFacts(BASE, 1), ())


def test_a_procfile_goes_before_the_image_as_it_was_written():
    procfile = "web: uvicorn app:app\nworker: python work.py\n"
    blueprint = blueprint_of(ImageFacts(BASE, 1, command=("x",)), parse_procfile(procfile), procfile)
    assert [(one.type, one.command) for one in blueprint.processes] == [("web", "uvicorn app:app"), ("worker", "python work.py")]


def test_packages_come_from_the_images_own_lists():
    alpine = {"/etc/os-release": b"ID=alpine\n", "/lib/apk/db/installed": b"P:musl\nV:1.2\nA:x86_64\n\nP:\nV:1\n\n\xff\n"}
    assert [each.purl for each in packages_of(alpine)] == ["pkg:apk/alpine/musl@1.2?arch=x86_64"]
    facts = ImageFacts(BASE, 1, digests=(f"python@sha256:{'b' * 64}",))
    assert base_component(parse_reference("python:3"), facts).purl == f"pkg:docker/python@sha256%3A{'b' * 64}"


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("a.env", True),
        ("deep/a.env", False),
        ("deep/x.pyc", True),
        ("x.pyc", True),
        ("node_modules/a/b", True),
        ("keep.env", False),
        ("src", False),
    ],
)
def test_dockerignore_is_followed(path, out):
    rules = rules_of("# c\n\n*.env\n**/*.pyc\n/node_modules/\n!keep.env\n")
    assert is_left_out(path, rules) is out


def test_an_engine_without_images_says_what_to_do():
    with pytest.raises(BuildError, match="own sandbox") as refused:
        engine_for_images(MemoryEngine())
    assert "SITEWRIGHT_ENGINE=docker" in refused.value.details
