"""What pages show and do: list and search, making, variables, power, renaming, deleting, files, logs."""

from __future__ import annotations

import io
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from sitewright.domain.states import BuildState
from sitewright.manager.operations.models import Operation
from sitewright.manager.sites.models import Site
from sitewright.testing.cast import Cast
from sitewright.testing.stage import Stage


def text(response) -> str:
    """The page."""
    return response.content.decode()


def archive() -> SimpleUploadedFile:
    """A zip of one page."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("index.html", "<h1>Hello</h1>")
    return SimpleUploadedFile("my-page.zip", buffer.getvalue())


@pytest.fixture
def alice(cast: Cast, browse) -> Client:
    """Alice's browser."""
    return browse(cast.alice)


def test_an_empty_list_teaches_the_first_step(alice: Client):
    page = text(alice.get("/sites/"))
    assert "Put your first site online" in page
    assert "sitewright login http://sitewright.localhost:8000" in page
    assert 'href="/new/?from=git"' in page


def test_the_list_shows_state_and_address_and_finds_by_name(alice: Client, guestbook: Site, poster: Site):
    page = text(alice.get("/sites/"))
    assert "guestbook.localhost" in page
    assert "running" in page
    found = text(alice.get("/sites/?q=GUEST", headers={"HX-Request": "true", "HX-Target": "sites"}))
    assert "guestbook" in found
    assert "poster" not in found
    assert "<html" not in found
    assert "No site has" in text(alice.get("/sites/?q=nothing"))


def test_the_list_is_sent_again_only_when_it_changed(alice: Client, guestbook: Site, stage: Stage):
    piece = {"HX-Request": "true", "HX-Target": "sites"}
    first = alice.get("/sites/?q=", headers=piece)
    again = text(first).split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert alice.get(again, headers=piece).status_code == 204
    alice.post("/sites/guestbook/power/stop/")
    stage.play()
    assert "stopped" in text(alice.get(again, headers=piece))


@pytest.mark.parametrize(
    ("fields", "mode", "kind"),
    [
        ({"source": "template", "template": "static"}, "live", "template"),
        ({"source": "git", "git_url": "https://git.example.org/alice/site.git", "git_ref": "main"}, "released", "git"),
        ({"source": "upload"}, "live", "upload"),
    ],
)
def test_a_site_is_made_from_each_source(alice: Client, stage: Stage, fields: dict[str, object], mode: str, kind: str):
    if kind == "upload":
        fields = {**fields, "archive": archive()}
    response = alice.post("/new/", {"name": "fresh", "team": "choir", **fields})
    assert response.status_code == 302, text(response)
    assert response["Location"] == "/sites/fresh/"
    stage.play()
    site = Site.objects.get(name="fresh")
    assert site.team.name == "choir"
    assert site.channels.get().mode == mode
    assert Operation.objects.get(site=site).params["source"]["kind"] == kind
    assert "running" in text(alice.get("/sites/fresh/"))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "Bad Name", "source": "template", "template": "static"}, "cannot be a site name"),
        ({"name": "admin", "source": "template", "template": "static"}, "is reserved"),
        ({"name": "a" * 41, "source": "template", "template": "static"}, "40 is the most"),
        ({"name": "guestbook", "source": "template", "template": "static"}, "is taken"),
        ({"name": "fine", "source": "upload"}, "Choose an archive."),
        ({"name": "fine", "source": "git"}, "Enter the address of the repository."),
        ({"name": "fine", "source": "git", "git_url": "ext::sh -c id"}, "This git address cannot be used."),
        ({"name": "fine", "source": "nothing"}, "nothing is not one of the available choices"),
        ({"name": "fine", "source": "template", "template": "static", "team": "charlie"}, "charlie is not one of the available choices"),
    ],
)
def test_what_cannot_be_made_is_said_on_the_form_and_nothing_is_made(alice: Client, guestbook: Site, fields, sentence: str):
    response = alice.post("/new/", {"team": "choir", **fields})
    assert response.status_code in {400, 409}
    assert sentence in text(response)
    assert Site.objects.count() == 1


def test_a_name_is_judged_while_it_is_typed(alice: Client, guestbook: Site):
    assert "my-site is free." in text(alice.get("/new/name/?name=my-site"))
    assert "is taken" in text(alice.get("/new/name/?name=guestbook"))
    assert "looks too much like" in text(alice.get("/new/name/?name=adm1n"))
    assert "field-error" not in text(alice.get("/new/name/?name="))


def test_a_secret_value_is_never_on_a_page(alice: Client, guestbook: Site):
    page = text(alice.get("/sites/guestbook/settings/"))
    assert "hello there" in page
    assert "API_KEY" in page
    assert "tell-nobody" not in page
    for path in ("/sites/guestbook/", "/sites/guestbook/timeline/"):
        assert "tell-nobody" not in text(alice.get(path))


def test_variables_are_set_and_removed(alice: Client, guestbook: Site, stage: Stage):
    alice.post("/sites/guestbook/settings/set/", {"variable": "COLOUR", "value": "blue & green"})
    alice.post("/sites/guestbook/settings/unset/", {"variable": "GREETING"})
    stage.play()
    page = text(alice.get("/sites/guestbook/settings/"))
    assert "blue &amp; green" in page
    assert "GREETING" not in page
    refused = alice.post("/sites/guestbook/settings/set/", {"variable": "PORT", "value": "1"}, follow=True)
    assert "is set by the platform" in text(refused)


def test_stop_start_and_restart(alice: Client, guestbook: Site, stage: Stage):
    for action, state in (("stop", "stopped"), ("start", "running"), ("restart", "running")):
        assert alice.post(f"/sites/guestbook/power/{action}/").status_code == 302
        stage.play()
        assert f"</span>{state}</span>" in text(alice.get("/sites/guestbook/")), action
    assert alice.post("/sites/guestbook/power/explode/").status_code == 404


def test_renaming_moves_the_address(alice: Client, guestbook: Site, stage: Stage):
    response = alice.post("/sites/guestbook/settings/rename/", {"name": "visitors"})
    assert "/operations/" in response["Location"]
    stage.play()
    assert "visitors.localhost" in text(alice.get("/sites/visitors/"))
    assert alice.get("/sites/guestbook/").status_code == 404
    refused = alice.post("/sites/visitors/settings/rename/", {"name": "No Good"}, follow=True)
    assert "cannot be a site name" in text(refused)


def test_deleting_wants_the_name_typed(alice: Client, guestbook: Site, stage: Stage):
    refused = alice.post("/sites/guestbook/settings/delete/", {"confirm": "guestbok"}, follow=True)
    assert "The site was not deleted." in text(refused)
    done = alice.post("/sites/guestbook/settings/delete/", {"confirm": "guestbook"})
    stage.play()
    assert not Site.objects.filter(name="guestbook").exists()
    assert alice.get(done["Location"]).status_code == 200


def test_a_running_operation_is_a_checklist_that_is_fetched_each_second(alice: Client, stage: Stage, guestbook: Site):
    stage.node.behaviour.build = BuildState.RUNNING
    alice.post("/sites/guestbook/deploy/", {"source": "git", "git_url": "https://git.example.org/a.git"})
    stage.turn()
    page = text(alice.get("/sites/guestbook/"))
    assert "every 1s" in page
    assert "Receive the source" in page
    assert "Build log" in page
    operation = Operation.objects.get(kind="deploy")
    log = text(alice.get(f"/operations/{operation.id}/"))
    assert "Hello from the log" in log
    assert f"/operations/{operation.id}/log/stream/?cursor=1" in log


def test_a_failed_deploy_says_why_and_can_be_tried_again(alice: Client, stage: Stage, guestbook: Site):
    stage.node.behaviour.build = BuildState.FAILED
    stage.node.behaviour.build_problem = "requirements.txt, line 3: there is no package flsk."
    alice.post("/sites/guestbook/deploy/", {"source": "upload", "archive": archive()})
    stage.play()
    page = text(alice.get("/sites/guestbook/"))
    assert "there is no package flsk" in page
    assert "running" in page
    operation = Operation.objects.get(kind="deploy")
    stage.node.behaviour.build = BuildState.SUCCEEDED
    alice.post(f"/operations/{operation.id}/retry/")
    stage.play()
    operation.refresh_from_db()
    assert operation.state == "succeeded"


def test_a_file_is_edited_and_a_conflict_keeps_both_texts(alice: Client, stage: Stage, poster: Site):
    page = text(alice.get("/sites/poster/files/?file=index.html"))
    assert "&lt;h1&gt;Poster&lt;/h1&gt;" in page
    version = page.split('name="version" value="')[1].split('"')[0]
    save = {"path": "index.html", "text": "<h1>New</h1>\r\n", "version": version}
    assert alice.post("/sites/poster/files/save/", save).status_code == 302
    assert stage.node.files["index.html"] == b"<h1>New</h1>\n"
    late = alice.post("/sites/poster/files/save/", {**save, "text": "mine"})
    assert late.status_code == 409
    assert "mine" in text(late)
    assert stage.node.files["index.html"] == b"<h1>New</h1>\n"
    newest = text(late).split('name="version" value="')[1].split('"')[0]
    alice.post("/sites/poster/files/save/", {**save, "text": "mine", "version": newest})
    assert stage.node.files["index.html"] == b"mine"
    alice.post("/sites/poster/files/delete/", {"path": "index.html"})
    assert "index.html" not in stage.node.files


def test_a_released_site_has_no_files_to_edit(alice: Client, guestbook: Site):
    assert alice.get("/sites/guestbook/files/").status_code == 409
    assert "Files</a>" not in text(alice.get("/sites/guestbook/"))


@pytest.mark.parametrize("path", ["/sites/guestbook/logs/", "/sites/poster/files/", "/sites/guestbook/"])
def test_pages_stand_while_the_node_is_away(alice: Client, stage: Stage, guestbook: Site, poster: Site, path: str):
    stage.node.behaviour.away = True
    response = alice.get(path)
    assert response.status_code == 200
    if path != "/sites/guestbook/":
        assert "The node is away." in text(response)


def test_logs_are_shown_streamed_and_kept_as_a_file(alice: Client, guestbook: Site):
    page = text(alice.get("/sites/guestbook/logs/?process=web"))
    assert "Hello from the log" in page
    assert "logs/stream/?process=web&amp;cursor=1" in page
    assert alice.get("/sites/guestbook/logs/?process=../etc").status_code == 400
    kept = alice.get("/sites/guestbook/logs/download/")
    assert kept["Content-Disposition"] == 'attachment; filename="guestbook.log"'
    assert b"web.1 Hello from the log" in kept.content


def test_output_of_a_site_cannot_become_markup(alice: Client, stage: Stage, poster: Site):
    stage.node.files["<script>alert(1)</script>.html"] = b"x"
    page = text(alice.get("/sites/poster/files/"))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_a_viewer_sees_names_of_files_without_links_to_their_contents(cast: Cast, browse, poster: Site):
    page = text(browse(cast.vera).get("/sites/poster/files/"))
    assert "index.html" in page
    assert "file=index.html" not in page


def test_a_path_that_climbs_out_is_refused_and_the_text_is_kept(alice: Client, stage: Stage, poster: Site):
    refused = alice.post("/sites/poster/files/save/", {"path": "../../etc/passwd", "text": "my words", "version": ""})
    assert refused.status_code == 400
    assert "my words" in text(refused)
    assert list(stage.node.files) == ["index.html"]
