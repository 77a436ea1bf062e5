"""PHP: php-fpm of the distribution, one small pool an instance; nginx serves the files and asks it for .php."""

from __future__ import annotations

from sitewright.builder.packs.base import PackPlan, Step, Toolchain
from sitewright.builder.procfile import parse_procfile
from sitewright.builder.tree import Tree
from sitewright.domain.processes import Listen, ProcessSpec
from sitewright.errors import BuildError

CONFIGURATION = ".sitewright/php-fpm.conf"
ROOTS = ("public", "", "web", "htdocs", "www")
_FPM = """\
; Made by the build. One pool, in the foreground, as the site's own user.
[global]
daemonize = no
error_log = /proc/self/fd/2
log_limit = 8192

[web]
listen = ${SOCKET}
listen.mode = 0666
pm = ondemand
pm.max_children = 6
pm.process_idle_timeout = 60s
pm.max_requests = 500
catch_workers_output = yes
decorate_workers_output = no
clear_env = no
php_admin_value[error_log] = /proc/self/fd/2
php_admin_flag[log_errors] = on
php_value[session.save_path] = /tmp
php_value[upload_max_filesize] = 64M
php_value[post_max_size] = 72M
"""


def php_pack(tree: Tree, toolchain: Toolchain) -> PackPlan | None:
    """The plan for a PHP site, None when there is neither an index.php nor a composer.json."""
    root = next((name for name in ROOTS if tree.has(f"{name}/index.php" if name else "index.php")), None)
    if root is None:
        if not tree.has("composer.json"):
            return None
        raise BuildError(
            "composer.json is there, but no index.php.",
            details="An index.php is looked for at the top and in public/, web/, htdocs/ and www/.",
            resolution="Add public/index.php and deploy again.",
        )
    processes = parse_procfile(tree.text("Procfile")) if tree.has("Procfile") else ()
    web = ProcessSpec(
        type="web", command=f"exec /usr/sbin/php-fpm{toolchain.php} --nodaemonize --fpm-config /app/{CONFIGURATION}", listen=Listen.FASTCGI
    )
    own_web = any(process.type == "web" for process in processes)
    put = ("/usr/bin/python3", "-I", "/sitewright/inside/put.py", CONFIGURATION, _FPM)
    return PackPlan(
        pack="php",
        title="PHP site",
        needs=("php", "composer") if _wants_composer(tree) else ("php",),
        notes=(f"Found {root + '/' if root else ''}index.php: this is a PHP site.",),
        steps=(*_composer(tree), Step("Writing the PHP settings", put)),
        processes=processes if own_web else (web, *processes),
        static_root=root,
    )


def _wants_composer(tree: Tree) -> bool:
    """Whether packages are required that did not come with the source: a committed vendor/ is used as it is."""
    if tree.has("vendor/autoload.php"):
        return False
    required = tree.json("composer.json").get("require", {})
    packages = [name for name in required if name != "php" and not name.startswith(("ext-", "lib-"))] if isinstance(required, dict) else []
    return bool(packages)


def _composer(tree: Tree) -> tuple[Step, ...]:
    if not _wants_composer(tree):
        return ()
    argv = ("/usr/bin/composer", "install", "--no-dev", "--no-interaction", "--no-progress", "--optimize-autoloader")
    return (Step("Installing what composer.json lists", argv, env=(("COMPOSER_HOME", "/cache/composer"),), network=True),)
