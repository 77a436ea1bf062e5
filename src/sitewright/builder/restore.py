"""A release folder from its droplet, when it is missing: after a move to another node, or when it was collected."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

from sitewright.builder.apply import Workshop
from sitewright.commands import archive
from sitewright.domain.desired import DesiredChannel
from sitewright.domain.identity import new_id
from sitewright.domain.limits import BUILD_LIMITS
from sitewright.domain.states import Mode
from sitewright.engines.base import APP_DIRECTORY, JobSpec, Mount, Sandboxed
from sitewright.engines.images import images_of
from sitewright.errors import NotFoundError, UnavailableError
from sitewright.system.accounts import tenant_uid
from sitewright.system.files import flush_folder, remove_tree
from sitewright.system.ownership import PASSABLE, SITE, make_folder, make_site_folders, site_owner

DROPLET_TARGET = "/droplets"
RESTORE_TIMEOUT_SECONDS = 300.0


async def check_image_here(shop: Workshop, desired: DesiredChannel) -> None:
    """Raises NotFoundError when the channel's release is an image that is not here, or that this engine cannot run."""
    image = desired.release.blueprint.image if desired.release is not None else ""
    if not image:
        return
    images = images_of(shop.engine)
    if images is None or await images.image(image) is None:
        raise NotFoundError(
            "The image of this release is not on this machine any more." if images else "This platform's engine cannot run images.",
            resolution="Deploy the site again, or return to another release.",
        )


async def restore_release(shop: Workshop, desired: DesiredChannel) -> Path:
    """The folder that the channel runs from. Raises NotFoundError when the droplet is gone, UnavailableError when unpacking failed."""
    paths = shop.settings.paths
    uid = tenant_uid(shop.settings.uid_base, desired.number)
    make_site_folders(paths, desired.site_id, desired.channel, uid)
    if desired.mode is Mode.LIVE or desired.release is None:
        return paths.live_folder(desired.site_id, desired.channel)
    target = paths.release(desired.site_id, desired.channel, desired.release.number)
    if target.is_dir():
        return target
    droplet = paths.droplets / desired.release.droplet
    if not desired.release.droplet or not droplet.is_file():
        raise NotFoundError(
            f"Release {desired.release.number} is not on this machine any more.",
            resolution="Deploy the site again, or return to another release.",
        )
    make_folder(paths.builds, PASSABLE)
    make_folder(paths.droplets, PASSABLE)
    fresh = paths.builds / f".restore-{secrets.token_hex(6)}"
    make_folder(fresh, PASSABLE)
    try:
        make_folder(fresh / "tree", SITE, site_owner(uid))
        await _unpack(shop, uid, droplet, fresh / "tree")
        make_folder(fresh / "tree", SITE, site_owner(uid))
        (fresh / "tree").rename(target)
        flush_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            remove_tree(fresh)
    return target


async def _unpack(shop: Workshop, uid: int, droplet: Path, tree: Path) -> None:
    inside = f"{DROPLET_TARGET}/droplet.tar"
    box = Sandboxed(
        uid=uid,
        command=" ".join(archive.unpack(inside, APP_DIRECTORY)),
        env=(("PATH", "/usr/bin:/bin"),),
        mounts=(Mount(tree, APP_DIRECTORY, writable=True), Mount(droplet, inside)),
        limits=BUILD_LIMITS,
        network=False,
    )
    result = await shop.engine.run(JobSpec(id=new_id(), box=box, timeout_seconds=RESTORE_TIMEOUT_SECONDS))
    if result.exit.code != 0:
        raise UnavailableError("The release could not be unpacked.", details=result.exit.in_words(BUILD_LIMITS))
