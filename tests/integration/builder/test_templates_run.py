"""Every template builds, starts and answers on the real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from conftest import Workbench  # type: ignore[import-not-found]

from sitewright.builder.source import template_names
from sitewright.bus.messages import BuildStatus, TemplateSource
from sitewright.domain.identity import new_id
from sitewright.domain.limits import Limits
from sitewright.domain.processes import Listen
from sitewright.domain.states import BuildState
from sitewright.engines.base import InstanceSpec, JobSpec, Mount, Sandboxed
from sitewright.testing.waiting import eventually


def box_of(workbench: Workbench, status: BuildStatus, command: str) -> Sandboxed:
    paths = workbench.settings.paths
    assert status.blueprint is not None
    return Sandboxed(
        uid=workbench.settings.uid_base + 1,
        command=command,
        env=(*status.blueprint.env, ("SITEWRIGHT_DATA", "/data")),
        mounts=(Mount(workbench.release(), "/app"), Mount(paths.data("asite2222222", "production"), "/data", writable=True)),
        limits=Limits(),
    )


@asynccontextmanager
async def running(workbench: Workbench, status: BuildStatus) -> AsyncIterator[httpx.AsyncClient]:
    """The site's web process, asked through its socket."""
    assert status.blueprint is not None
    web = status.blueprint.process("web")
    assert web is not None
    instance = new_id()
    socket = workbench.settings.paths.instance_socket(instance)
    release = status.blueprint.process("release")
    if release is not None:
        result = await workbench.engine.run(JobSpec(new_id(), box_of(workbench, status, release.command), 60))
        assert result.exit.code == 0
    await workbench.engine.start(
        InstanceSpec(
            id=instance,
            channel_id="chan22222222",
            site_id="asite2222222",
            process="web",
            digest="x",
            release_id="r",
            box=box_of(workbench, status, web.command),
            listen=web.listen,
            socket=socket,
        )
    )
    try:

        async def listening() -> bool:
            return await workbench.engine.listening(instance)

        await eventually(listening, 30)
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://site.localhost", timeout=20) as client:
            yield client
    finally:
        await workbench.engine.stop(instance, 5)
        await workbench.engine.remove(instance)


async def built(workbench: Workbench, name: str) -> BuildStatus:
    status = await workbench.build(workbench.request(TemplateSource(name=name)))
    print(workbench.log(status))
    assert status.state is BuildState.SUCCEEDED, workbench.log(status)
    return status


def test_there_is_a_template_for_every_kind_of_site() -> None:
    assert set(template_names()) == {"static", "guestbook", "django", "fastapi", "express", "vite", "php"}


async def test_the_guestbook_keeps_what_visitors_write(workbench: Workbench) -> None:
    async with running(workbench, await built(workbench, "guestbook")) as client:
        assert (await client.post("/", data={"name": "Bob", "text": "<b>Hi</b>"})).status_code == 303
        assert "&lt;b&gt;Hi&lt;/b&gt;" in (await client.get("/")).text


async def test_the_django_template_migrates_and_keeps_notes(workbench: Workbench) -> None:
    status = await built(workbench, "django")
    assert (workbench.release() / ".sitewright/public/static/admin/css/base.css").is_file()
    async with running(workbench, status) as client:
        page = await client.get("/")
        token = page.cookies["csrftoken"]
        headers = {"X-CSRFToken": token, "Cookie": f"csrftoken={token}"}
        assert (await client.post("/", data={"text": "Buy milk"}, headers=headers)).status_code == 302
        assert "Buy milk" in (await client.get("/")).text
        assert (await client.get("/admin/login/")).status_code == 200


async def test_the_fastapi_template_answers(workbench: Workbench) -> None:
    async with running(workbench, await built(workbench, "fastapi")) as client:
        assert (await client.get("/hello/Alice")).json() == {"message": "Hello, Alice!"}


async def test_the_express_template_answers(workbench: Workbench) -> None:
    async with running(workbench, await built(workbench, "express")) as client:
        assert (await client.get("/api/hello/Alice")).json() == {"message": "Hello, Alice!"}


@pytest.mark.parametrize(("name", "root"), [("static", ""), ("vite", "dist")])
async def test_front_ends_become_files(workbench: Workbench, name: str, root: str) -> None:
    status = await built(workbench, name)
    assert status.blueprint is not None
    assert status.blueprint.is_static
    assert status.blueprint.static_root == root
    assert (workbench.release() / root / "index.html").is_file()
    assert not (workbench.release() / "node_modules").exists()


async def test_the_php_template_is_run_by_php_fpm(workbench: Workbench) -> None:
    status = await built(workbench, "php")
    assert status.blueprint is not None
    web = status.blueprint.process("web")
    assert web is not None
    assert web.listen is Listen.FASTCGI
    assert status.blueprint.static_root == "public"
