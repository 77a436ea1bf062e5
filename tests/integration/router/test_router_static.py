"""Static sites: files, and what is never served as one."""

from __future__ import annotations

import gzip
import os
from email.utils import parsedate_to_datetime

import pytest


def test_a_file_is_served_with_its_type(router):
    router.route("alice.example.test", public=router.public("alice", index_html="<h1>Alice</h1>", css__site_css="a{}"))
    page = router.get("alice.example.test")
    assert (page.status, page.text) == (200, "<h1>Alice</h1>")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert router.get("alice.example.test", "/css/site.css").headers["content-type"].startswith("text/css")


def test_a_folder_is_led_to_its_slash_and_its_index(router):
    router.route("folders.example.test", public=router.public("folders", about__index_html="about us"))
    redirect = router.get("folders.example.test", "/about?x=1")
    assert (redirect.status, redirect.headers["location"]) == (301, "/about/?x=1")
    assert router.get("folders.example.test", "/about/").text == "about us"


def test_a_page_is_found_without_its_ending(router):
    router.route("pretty.example.test", public=router.public("pretty", contact_html="write to us"))
    assert router.get("pretty.example.test", "/contact").text == "write to us"


def test_an_edit_is_visible_at_once_and_an_unchanged_file_is_not_sent_again(router):
    folder = router.public("edit", index_html="one")
    router.route("edit.example.test", public=folder)
    first = router.get("edit.example.test")
    assert first.headers["cache-control"] == "no-cache"
    assert parsedate_to_datetime(first.headers["last-modified"])
    assert router.get("edit.example.test", If_None_Match=first.headers["etag"]).status == 304
    (folder / "index.html").write_text("two, and longer")
    assert router.get("edit.example.test", If_None_Match=first.headers["etag"]).text == "two, and longer"


def test_long_text_is_compressed_for_who_asks(router):
    router.route("long.example.test", public=router.public("long", index_html="words " * 1000))
    compressed = router.get("long.example.test", Accept_Encoding="gzip")
    assert compressed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(compressed.body).startswith(b"words words")
    assert router.get("long.example.test").headers["content-encoding"] is None


def test_a_site_may_have_its_own_page_for_what_is_missing(router):
    router.route("own404.example.test", public=router.public("own404", index_html="x", **{"404_html": "nothing here, says Alice"}))
    missing = router.get("own404.example.test", "/none")
    assert (missing.status, missing.text) == (404, "nothing here, says Alice")


def test_without_one_the_platform_has_a_page(router):
    router.route("plain404.example.test", public=router.public("plain404", index_html="x"))
    missing = router.get("plain404.example.test", "/none", Accept="text/html")
    assert missing.status == 404
    assert "This page does not exist" in missing.text
    assert router.get("plain404.example.test", "/folder-without-index/").status == 404


def test_unknown_paths_of_a_single_page_app_get_its_fallback(router):
    router.route("spa.example.test", public=router.public("spa", app__shell_html="the app", real_txt="real"), fallback="app/shell.html")
    assert router.get("spa.example.test", "/real.txt").text == "real"
    deep = router.get("spa.example.test", "/deep/link?x=1")
    assert (deep.status, deep.text) == (200, "the app")
    assert router.get("spa.example.test", "/").text == "the app"


def test_a_fallback_that_is_not_there_is_a_404(router):
    router.route("nospa.example.test", public=router.public("nospa", a_txt="a"), fallback="index.html")
    assert router.get("nospa.example.test", "/none").status == 404


@pytest.mark.parametrize("path", ["/.env", "/.git/config", "/sub/.htpasswd", "/%2eenv", "/index.php", "/x.PHP", "/x.phtml"])
def test_hidden_files_and_sources_are_never_served(router, path):
    folder = router.public("hidden", index_html="x")
    for name in (".env", ".git/config", "sub/.htpasswd", "index.php", "x.PHP", "x.phtml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("secret")
    router.route("hidden.example.test", public=folder)
    answer = router.get("hidden.example.test", path)
    assert answer.status == 404
    assert b"secret" not in answer.body


def test_well_known_files_are_served(router):
    folder = router.public("known")
    (folder / ".well-known").mkdir(exist_ok=True)
    (folder / ".well-known/security.txt").write_text("Contact: Alice")
    router.route("known.example.test", public=folder)
    assert router.get("known.example.test", "/.well-known/security.txt").text == "Contact: Alice"


def test_a_symlink_out_of_the_site_to_somebody_elses_file_is_refused(router):
    folder = router.public("links", index_html="x")
    other = router.public("other", secret_txt="Bob's")
    for name, target in (("passwd.txt", "/etc/passwd"), ("bob.txt", other / "secret.txt")):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
    (folder / "dir").unlink(missing_ok=True)
    (folder / "dir").symlink_to("/etc")
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, 1_000_123, 1_000_123, follow_symlinks=False)
    router.route("links.example.test", public=folder)
    for path in ("/passwd.txt", "/dir/passwd", "/passwd.txt/", "/dir/", *(("/bob.txt",) if os.geteuid() == 0 else ())):
        answer = router.get("links.example.test", path)
        assert answer.status == 404, path
        assert b"root:" not in answer.body
        assert b"Bob" not in answer.body


def test_a_fallback_that_is_a_symlink_out_is_refused(router):
    folder = router.public("spalink")
    (folder / "index.html").unlink(missing_ok=True)
    (folder / "index.html").symlink_to("/etc/passwd")
    if os.geteuid() == 0:
        os.chown(folder / "index.html", 1_000_123, 1_000_123, follow_symlinks=False)
        router.route("spalink.example.test", public=folder, fallback="index.html")
        assert b"root:" not in router.get("spalink.example.test", "/any").body


def test_a_symlink_inside_the_site_works(router):
    folder = router.public("inside", a_txt="A")
    (folder / "b.txt").unlink(missing_ok=True)
    (folder / "b.txt").symlink_to("a.txt")
    router.route("inside.example.test", public=folder)
    (folder / "notes" / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "notes" / "index.html").write_text("N")
    (folder / "notes" / "deep" / "page.html").write_text("P")
    (folder / "other").unlink(missing_ok=True)
    (folder / "other").symlink_to("notes")
    for path, text in (
        ("/b.txt", "A"),
        ("/other/", "N"),
        ("/other/index.html", "N"),
        ("/other/deep/page", "P"),
        ("/other/deep/page.html", "P"),
    ):
        assert router.get("inside.example.test", path).text == text, path
    assert router.get("inside.example.test", "/other").headers["location"] == "/other/"


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/../stopped.html", "/%2e%2e/stopped.json"]
)
def test_a_path_cannot_climb_out_nor_name_the_platforms_own_pages(router, path):
    router.route("climb.example.test", public=router.public("climb", index_html="x"))
    answer = router.get("climb.example.test", path)
    assert answer.status in {400, 404}
    assert b"root:" not in answer.body
    assert b"switched it off" not in answer.body


def test_range_requests_work(router):
    router.route("range.example.test", public=router.public("range", video_txt="0123456789"))
    part = router.get("range.example.test", "/video.txt", Range="bytes=2-4")
    assert (part.status, part.text) == (206, "234")


@pytest.mark.parametrize("with_app", [False, True], ids=["files alone", "files before an app"])
def test_a_link_in_the_place_of_the_folder_itself_leads_nowhere_but_to_the_sites_own(router, with_app):
    if os.geteuid() != 0:
        return
    tree = router.settings.paths.sites / f"evil{with_app:d}"
    public = tree / "folder" / "public"
    (public / "sub").mkdir(parents=True)
    (tree / "other").mkdir()
    (public / "a.txt").write_text("A")
    (public / "sub" / "index.html").write_text("index")
    (tree / "other" / "b.txt").write_text("B")
    for path in (tree, *tree.rglob("*")):
        os.chown(path, 1_000_123, 1_000_123)
    host = f"swapped{with_app:d}.example.test"
    router.route(host, public=public, changeable=True, sockets=(router.app().socket,) if with_app else ())
    assert router.get(host, "/a.txt").text == "A"
    if not with_app:
        assert router.get(host, "/sub").headers["location"] == "/sub/"
        assert router.get(host, "/sub/").text == "index"
        assert router.get(host, "/none").status == 404
    for target in ("/", "/etc"):
        public.rename(tree / "kept")
        public.symlink_to(target)
        os.chown(public, 1_000_123, 1_000_123, follow_symlinks=False)
        for path in ("/etc/passwd", "/passwd"):
            assert b"root:" not in router.get(host, path).body, (target, path)
        public.unlink()
        (tree / "kept").rename(public)
    public.rename(tree / "kept")
    public.symlink_to("../other")
    os.chown(public, 1_000_123, 1_000_123, follow_symlinks=False)
    assert router.get(host, "/b.txt").text == "B"
