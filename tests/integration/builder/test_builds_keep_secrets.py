"""Secrets reach a build's steps and nothing else: not the log, not the release, not the cache. And what was installed is told."""

from __future__ import annotations

import base64
import json

from sitewright.builder.cyclonedx import cyclonedx
from sitewright.bus.messages import Author, BuildSearch, BuildStatus, TemplateSource
from sitewright.domain.states import BuildState
from sitewright.testing.waiting import eventually
from sitewright.testing.workbench import ALICE_SITE, Workbench, archive_of

SECRET = "s3cr3t-t0ken-of-alice"
PAGES = "mkdir -p dist && echo page > dist/index.html"


async def build(workbench: Workbench, script: str, **more: object) -> BuildStatus:
    files: dict[str, str | bytes] = {"package.json": json.dumps({"scripts": {"build": script}})}
    secret = {"env": (("API_TOKEN", SECRET), ("PUBLIC", "hello")), "secrets": ("API_TOKEN",)}
    return await workbench.build(workbench.request(workbench.upload(archive_of(files)), **{**secret, **more}))  # type: ignore[arg-type]


async def test_a_secret_reaches_the_steps_and_is_masked_in_the_log(workbench: Workbench) -> None:
    script = f"echo got $API_TOKEN $PUBLIC; printf 's3cr3t-t0'; sleep 0.2; echo 'ken-of-alice'; printf %s $API_TOKEN | base64; {PAGES}"
    status = await build(workbench, script)
    log = workbench.log(status)
    assert status.state is BuildState.SUCCEEDED, log
    assert "got *** hello" in log
    assert SECRET not in log
    assert base64.b64encode(SECRET.encode()).decode()[:16] not in log
    request = workbench.settings.paths.builds / status.build_id / "request.json"

    async def forgotten() -> bool:
        return SECRET not in request.read_text()

    await eventually(forgotten, 10)


async def test_a_secret_in_the_release_fails_the_build_and_names_the_file_only(workbench: Workbench) -> None:
    status = await build(workbench, f'{PAGES}; echo "const key = \\"$API_TOKEN\\"" > dist/app.js')
    assert status.state is BuildState.FAILED
    assert status.problem == "The value of the secret variable API_TOKEN is in dist/app.js."
    assert SECRET not in status.model_dump_json() + workbench.log(status)
    assert not workbench.release().exists()
    assert not any(workbench.settings.paths.droplets.glob("*")) if workbench.settings.paths.droplets.exists() else True


async def test_a_secret_in_base64_is_found_too(workbench: Workbench) -> None:
    status = await build(workbench, f"{PAGES}; printf 'user:%s' $API_TOKEN | base64 > dist/index.html")
    assert "is in dist/index.html" in status.problem


async def test_a_secret_in_a_live_folder_that_was_deployed_fails_too(workbench: Workbench) -> None:
    status = await build(workbench, f"{PAGES}; echo $API_TOKEN > dist/index.html", mode="live", release=0)
    assert "API_TOKEN is in dist/index.html" in status.problem


async def test_a_secret_does_not_stay_in_the_cache(workbench: Workbench) -> None:
    status = await build(
        workbench, f"mkdir -p /cache/npm && echo token=$API_TOKEN > /cache/npm/npmrc && echo fine > /cache/npm/other; {PAGES}"
    )
    assert status.state is BuildState.SUCCEEDED
    kept = workbench.settings.paths.caches / ALICE_SITE / "build" / "npm"
    assert not (kept / "npmrc").exists()
    assert (kept / "other").exists()
    assert "A secret was in 1 files" in workbench.log(status)


async def test_colours_stay_and_the_log_can_be_searched(workbench: Workbench) -> None:
    status = await build(workbench, f"printf '\\033[32mGreen light\\033[0m\\033[2J\\n'; seq 1 50; {PAGES}")
    assert "\x1b[32mGreen light\x1b[0m" in workbench.log(status)
    page = await workbench.builder.search(BuildSearch(build_id=status.build_id, text="green LIGHT"))
    assert page.ended
    assert any(line.text == "\x1b[32mGreen light\x1b[0m" for line in page.lines)
    first = await workbench.builder.search(BuildSearch(build_id=status.build_id, text="4", limit=3))
    assert len(first.lines) == 3
    assert not first.ended
    rest = await workbench.builder.search(BuildSearch(build_id=status.build_id, text="4", cursor=first.cursor))
    assert rest.ended
    assert not set(rest.lines) & set(first.lines)


async def test_what_a_flask_app_installed_is_told(workbench: Workbench) -> None:
    files: dict[str, str | bytes] = {"requirements.txt": "flask\n", "app.py": "from flask import Flask\napp = Flask(__name__)\n"}
    index = "https://alice:hunter2hunter2@packages.example.org/simple"
    status = await workbench.build(workbench.request(workbench.upload(archive_of(files)), env=(("SOME_INDEX", index),)))
    assert status.state is BuildState.SUCCEEDED, workbench.log(status)
    found = await workbench.builder.artefacts(status.build_id)
    components = {component.name: component for component in found.components}
    assert found.complete
    assert components["Flask"].purl == f"pkg:pypi/flask@{components['Flask'].version}"
    assert components["Flask"].origin.startswith("http")
    assert "@" not in components["Flask"].origin.partition("//")[2].partition("/")[0]
    assert components["Flask"].digest.startswith("record-sha256:")
    assert components["python3"].purl.startswith("pkg:deb/debian/python3@")
    document = cyclonedx(found, "shop", "1", status.finished_at)
    assert document["specVersion"] == "1.5"
    assert "pkg:pypi/flask@" in json.dumps(document)


async def test_a_template_is_kept_as_a_commit_when_that_is_wished(workbench: Workbench) -> None:
    author = Author(name="Alice", email="alice@example.org", message="From the template static")
    status = await workbench.build(workbench.request(TemplateSource(name="static"), record=author))
    assert status.state is BuildState.SUCCEEDED, workbench.log(status)
    assert len(status.commit) == 40
    assert workbench.settings.paths.repository(ALICE_SITE).is_dir()
    again = await workbench.build(workbench.request(TemplateSource(name="static"), record=author, record_parent=status.commit, release=2))
    assert again.commit == status.commit, "nothing has changed"
