"""What a build put together, from what package managers noted; nothing that they hold is believed."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from sitewright.builder import inside
from sitewright.builder.artefacts import artefacts_of, digest_in_words, package_url, read_listed, without_credentials
from sitewright.builder.cyclonedx import cyclonedx
from sitewright.bus.messages import Component

SCRIPT = Path(inside.__file__ or "").with_name("installed.py")


def listed(tree: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str] | None = None) -> tuple[tuple[Component, ...], bool]:
    monkeypatch.chdir(tree)
    runpy.run_path(str(SCRIPT))["write"]("list.json")
    return read_listed(tree / "list.json", env or {})


def distribution(tree: Path, name: str, version: str, **files: str) -> None:
    folder = tree / ".venv/lib/python3.11/site-packages" / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: of the text\n")
    for file, content in files.items():
        (folder / file.replace("_json", ".json")).write_text(content)


def test_python_packages_are_told_with_the_index_they_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path, "Typing_Extensions", "4.12", RECORD="a,b,c")
    distribution(tmp_path, "mine", "1", direct_url_json=json.dumps({"url": "https://bob:pw@git.example.org/mine.git?token=x"}))
    found, complete = listed(tmp_path, monkeypatch, {"UV_DEFAULT_INDEX": "https://alice:pw@index.example.org/simple"})
    assert complete
    by_name = {component.name: component for component in found}
    assert by_name["Typing_Extensions"].purl == "pkg:pypi/typing-extensions@4.12"
    assert by_name["Typing_Extensions"].origin == "https://index.example.org/simple"
    assert by_name["Typing_Extensions"].digest.startswith("record-sha256:")
    assert by_name["mine"].origin == "https://git.example.org/mine.git"


def test_npm_packages_are_told_with_their_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"version": "1.2.3", "resolved": "https://npm.example.org/x.tgz", "integrity": "sha512-AAECAw=="}
    for name in ("plain", "@scope/odd", "plain/node_modules/inner"):
        (tmp_path / "node_modules" / name).mkdir(parents=True)
    packages = {"": {}, "node_modules/plain": entry, "node_modules/@scope/odd": entry, "node_modules/plain/node_modules/inner": entry}
    (tmp_path / "node_modules/.package-lock.json").write_text(json.dumps({"packages": {**packages, "node_modules/absent": entry}}))
    found, _ = listed(tmp_path, monkeypatch)
    assert sorted(component.purl for component in found) == ["pkg:npm/%40scope/odd@1.2.3", "pkg:npm/inner@1.2.3", "pkg:npm/plain@1.2.3"]
    assert found[0].digest == "sha512:00010203"


def test_composer_packages_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vendor/composer").mkdir(parents=True)
    dist = {"url": "https://composer.example.org/a.zip", "shasum": "ab"}
    packages = [{"name": "symfony/yaml", "version": "v7.1.0", "dist": dist}, {"name": "a/b", "version": "1"}]
    (tmp_path / "vendor/composer/installed.json").write_text(json.dumps({"packages": packages}))
    found, complete = listed(tmp_path, monkeypatch)
    assert complete
    assert [(c.purl, c.digest) for c in found] == [("pkg:composer/symfony/yaml@7.1.0", "sha1:ab"), ("pkg:composer/a/b@1", "")]


@pytest.mark.parametrize("content", ["not json", '{"packages": 3}', '{"packages": {"node_modules/a": 5}}'])
def test_notes_that_make_no_sense_only_make_the_list_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    distribution(tmp_path, "flask", "3")
    (tmp_path / "node_modules/a").mkdir(parents=True)
    (tmp_path / "node_modules/.package-lock.json").write_text(content)
    found, complete = listed(tmp_path, monkeypatch)
    assert not complete
    assert [component.name for component in found] == ["flask"]


def test_a_list_that_was_tampered_with_is_an_incomplete_one(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.symlink_to("/etc/passwd")
    assert read_listed(path, {}) == ((), False)
    path.unlink()
    path.write_text(json.dumps({"components": [["npm", "a\x1b[31m", "1\n", "", ""], ["evil", "x", "", "", ""]], "complete": True}))
    assert read_listed(path, {})[0] == (Component(name="a[31m", version="1", purl="pkg:npm/a%5B31m@1"),)
    assert read_listed(tmp_path / "absent", {}) == ((), True)


def test_addresses_digests_and_package_urls_are_as_others_write_them() -> None:
    assert without_credentials("https://user:pw@host:8443/a?b=c#d") == "https://host:8443/a"
    assert without_credentials("https://[broken") == ""
    assert digest_in_words("sha1-3q2+7w==") == "sha1:deadbeef"
    assert digest_in_words("sha512-??") == ""
    assert package_url("pypi", "Zope.Interface", "5.0") == "pkg:pypi/zope-interface@5.0"


def test_a_cyclonedx_document_has_each_component_once() -> None:
    one = Component(name="a", version="1", purl="pkg:npm/a@1", origin="https://npm.example.org/a.tgz", digest="sha512:00")
    two = Component(name="b", version="2", digest="record-sha256:11")
    runtime = Component(name="python3", version="3.11", purl="pkg:deb/debian/python3@3.11?arch=amd64", origin="Debian")
    document = cyclonedx(artefacts_of("b1", ((one, one, two), False), (runtime,)), "shop", "7", 1_800_000_000.0)
    assert document == cyclonedx(artefacts_of("b1", ((one, one, two), False), (runtime,)), "shop", "7", 1_800_000_000.0)
    assert [component["bom-ref"] for component in document["components"]] == [runtime.purl, "pkg:npm/a@1", "b@2"]
    assert document["components"][0]["type"] == "platform"
    assert document["components"][1]["hashes"] == [{"alg": "SHA-512", "content": "00"}]
    assert document["components"][2]["properties"] == [{"name": "sitewright:record-sha256", "value": "11"}]
    assert document["compositions"][0]["aggregate"] == "incomplete"
    assert document["metadata"]["timestamp"] == "2027-01-15T08:00:00Z"
