"""Every template builds, starts and answers on the real engine."""

from __future__ import annotations

import pytest

from sitewright.builder.source import template_names
from sitewright.bus.messages import BuildStatus, TemplateSource
from sitewright.domain.processes import Listen
from sitewright.domain.states import BuildState
from sitewright.testing.workbench import Workbench, running


async def built(workbench: Workbench, name: str) -> BuildStatus:
    status = await workbench.build(workbench.request(TemplateSource(name=name)))
    print(workbench.log(status))
    assert status.state is BuildState.SUCCEEDED, workbench.log(status)
    return status


def test_there_is_a_template_for_every_kind_of_site() -> None:
    assert set(template_names()) == {"static", "guestbook", "django", "fastapi", "express", "vite", "php", "notebook", "wiki"}


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


async def test_the_wiki_template_is_run_by_php_fpm_and_hides_its_parts(workbench: Workbench) -> None:
    status = await built(workbench, "wiki")
    assert status.blueprint is not None
    web = status.blueprint.process("web")
    assert web is not None
    assert web.listen is Listen.FASTCGI
    assert status.blueprint.static_root == "public"
    assert not (workbench.release() / "public/wiki").exists()


async def test_the_notebook_template_shows_the_notebook(workbench: Workbench) -> None:
    async with running(workbench, await built(workbench, "notebook")) as client:
        page = await client.get("/")
        assert page.status_code == 200
        assert "How far away is the horizon?" in page.text or "marimo" in page.text
        assert (await client.get("/health")).json() == {"status": "healthy"}
