"""Bob's course gives him a Dockerfile, and Charlie an image: on a platform that runs sites on Docker both go online."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sitewright.testing.dockerd import running_dockerd
from sitewright.testing.platform import Platform
from sitewright.testing.registry import HOST, Registry, running_registry

ROOT = Path(__file__).parents[2]
PAGES = 'CMD ["/bin/sh", "-c", "cd /www && exec httpd -f -p 9000"]'


def free_port() -> int:
    """A TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def images() -> Iterator[tuple[Platform, Registry]]:
    with running_dockerd() as dockerd, running_registry(dockerd) as registry, tempfile.TemporaryDirectory(prefix="sw-i-") as folder:
        Path(folder).chmod(0o711)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SITEWRIGHT_ENGINE", "docker")
            patch.setenv("SITEWRIGHT_DOCKER_HOST", dockerd.host)
            patch.setenv("SITEWRIGHT_IMAGE_REGISTRIES", HOST)
            platform = Platform(ROOT / "sitewright", home=Path(folder) / "home", port=free_port())
            try:
                platform.start()
                yield platform, registry
            finally:
                platform.clear_away()


def test_an_image_goes_online_is_replaced_and_returned_to(images: tuple[Platform, Registry]) -> None:
    platform, registry = images
    name = registry.push("charlie/app:1", {"www/index.html": "Charlie's first"}, ("EXPOSE 9000", PAGES))
    platform.cli("sites", "create", "charlie", "--from", f"image:{name}")
    site = platform.site("charlie")
    assert "Charlie's first" in site.get("/").text
    assert platform.cli("run", "charlie", "--", "cat", "/www/index.html").stdout == "Charlie's first"
    assert "/data" in platform.cli("exec", "charlie", "--", "env").stdout
    registry.push("charlie/app:1", {"www/index.html": "Charlie's second"}, ("EXPOSE 9000", PAGES))
    platform.cli("deploy", "--site", "charlie", f"image:{name}")
    assert "Charlie's second" in site.get("/").text
    platform.cli("rollback", "charlie", "1")
    assert "Charlie's first" in site.get("/").text


def test_a_dockerfile_is_pushed_as_a_folder_and_says_in_its_log_how_it_runs(images: tuple[Platform, Registry], tmp_path: Path) -> None:
    platform, registry = images
    base = registry.push("small:1")
    (tmp_path / "Dockerfile").write_text(
        f"FROM {base}\nCOPY page.txt /www/index.html\nRUN echo built >> /www/index.html\nEXPOSE 9000\n{PAGES}\n"
    )
    (tmp_path / "page.txt").write_text("Bob was here, ")
    platform.cli("sites", "create", "bob", "--from", str(tmp_path))
    assert "Bob was here, built" in platform.site("bob").get("/").text
    refused = platform.cli("deploy", "--site", "bob", "image:ghcr.io/x/y:1", check=False)
    assert refused.returncode != 0
    assert "takes no images from ghcr.io" in refused.stdout + refused.stderr
