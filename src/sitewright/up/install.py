"""Makes .venv and installs what a lock file names. Run by ./sitewright with any Python ≥ 3.11 before anything is installed, so it imports
the standard library only.

usage: install.py <root of the repository> run|dev

Exit codes: 0 done, 10 the machine lacks something (said in one sentence), 1 an installation failed.
"""

from __future__ import annotations

import ast
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
KINDS = ("run", "dev")


class InstallError(Exception):
    """Something is missing or failed; the text is the whole sentence for a person."""


def say(text: str) -> None:
    """One line of progress, on standard error so that the command's own output stays clean."""
    print(f"sitewright: {text}", file=sys.stderr, flush=True)


def pip_settings(listing: str) -> dict[str, str]:
    """What `pip config list` says, as {option: value}; the environment wins over a command's section, that over the global one.

    Lines look like ``global.index-url='https://…'`` and ``:env:.find-links='/folder'``.
    """
    ranks = {"global": 0, "install": 1, ":env:": 2}
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        name, separator, quoted = line.partition("=")
        section, _, option = name.rpartition(".")
        if not separator or section not in ranks:
            continue
        try:
            value = str(ast.literal_eval(quoted))
        except (ValueError, SyntaxError):
            continue
        if option not in found or ranks[section] >= found[option][0]:
            found[option] = (ranks[section], value)
    return {option: value for option, (_, value) in found.items()}


def uv_environment(pip: Mapping[str, str], environment: Mapping[str, str], *, ca_bundle: bool) -> dict[str, str]:
    """The variables that make uv use the same indexes and certificates as pip on this machine. What is set for uv already, stays."""
    made: dict[str, str] = {}
    for option, variable in (
        ("index-url", "UV_DEFAULT_INDEX"),
        ("extra-index-url", "UV_INDEX"),
        ("find-links", "UV_FIND_LINKS"),
        ("trusted-host", "UV_INSECURE_HOST"),
        ("cert", "SSL_CERT_FILE"),
    ):
        if pip.get(option):
            # uv separates folders of wheels by commas, pip by white space.
            separator = "," if option == "find-links" else " "
            made[variable] = separator.join(pip[option].split())
    if "UV_INDEX" in made:
        # As pip does: the best version of all indexes. Every file is checked against its hash in the lock.
        made["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if ca_bundle:
        made["UV_SYSTEM_CERTS"] = "true"
    # The manager runs as a user who may not write compiled files here; without them each of its starts takes twice as long.
    made |= {"UV_COMPILE_BYTECODE": "1"}
    made |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "UV_LINK_MODE": "copy", "UV_NO_CONFIG": "1"}
    return {name: value for name, value in made.items() if name not in environment}


def run(argv: list[str], what: str, env: Mapping[str, str] | None = None) -> str:
    """The program's output. Raises InstallError with the end of what it said when it fails."""
    try:
        done = subprocess.run(
            argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=dict(env) if env is not None else None
        )
    except OSError as error:
        raise InstallError(f"{what} failed: {error}.") from error
    if done.returncode != 0:
        tail = "\n".join((done.stderr + done.stdout).strip().splitlines()[-12:])
        raise InstallError(f"{what} failed. It said:\n{tail}\nNothing else was changed; run ./sitewright again to go on.")
    return done.stdout


def has_ensurepip() -> bool:
    """Whether this Python can make a virtual environment with pip; Debian keeps that in a package of its own."""
    try:
        import ensurepip  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True


def ensure_venv_module() -> None:
    """As root install Debian's python3-venv when it is missing, else name the command."""
    if has_ensurepip():
        return
    package = "python3-venv" if sys.executable.startswith("/usr/bin/") else f"python3.{sys.version_info.minor}-venv"
    command = f"apt-get install -y {package}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise InstallError(f"This Python cannot make a virtual environment. Run `sudo {command}`, then ./sitewright again.")
    say(f"installing the system package {package}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        run(command.split(), "Installing python3-venv", env)
    except InstallError:
        run(["apt-get", "update", "-q"], "Updating the list of system packages", env)
        run(command.split(), "Installing python3-venv", env)


def make_venv(venv: Path) -> None:
    """A virtual environment with pip, unless there is a whole one. One made by a Python that is gone is made anew."""
    python = venv / "bin" / "python"
    if python.exists() and (venv / "pyvenv.cfg").exists():
        if subprocess.run([str(python), "-I", "-c", "import sys"], check=False, capture_output=True).returncode == 0:
            return
        say("the Python of .venv is gone; making it again")
    ensure_venv_module()
    say(f"making .venv with Python {sys.version.split()[0]}")
    run([sys.executable, "-m", "venv", "--clear", str(venv)], "Making the virtual environment")


def install_uv(root: Path, venv: Path) -> None:
    """uv at the version and hash of the lock, by pip."""
    lock = root / "requirements" / "bootstrap.lock"
    wanted = lock.read_text().split()[0].partition("==")[2]
    uv = venv / "bin" / "uv"
    if uv.exists() and wanted in run([str(uv), "--version"], "Asking uv for its version"):
        return
    say("installing uv")
    python = str(venv / "bin" / "python")
    if subprocess.run([python, "-I", "-c", "import pip"], check=False, capture_output=True).returncode != 0:
        run([python, "-I", "-m", "ensurepip"], "Installing pip")
    env = dict(os.environ)
    if CA_BUNDLE.exists():
        env.setdefault("PIP_CERT", str(CA_BUNDLE))
    run(
        [python, "-I", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r", str(lock)],
        "Installing uv",
        env,
    )


def pip_listing(venv: Path) -> str:
    """`pip config list`, or "" when pip cannot say (then the defaults hold)."""
    done = subprocess.run(
        [str(venv / "bin" / "python"), "-m", "pip", "config", "list"], check=False, capture_output=True, text=True, cwd=venv
    )
    return done.stdout if done.returncode == 0 else ""


def install_locked(root: Path, venv: Path, kind: str) -> None:
    """Everything in the lock, each file checked against its hash, and this project as editable."""
    lock = root / "requirements" / f"{kind}.lock"
    env = {**os.environ, "VIRTUAL_ENV": str(venv)}
    env |= uv_environment(pip_settings(pip_listing(venv)), os.environ, ca_bundle=CA_BUNDLE.exists())
    uv = str(venv / "bin" / "uv")
    count = sum(1 for line in lock.read_text().splitlines() if "==" in line)
    say(f"installing {count} packages, each checked against its hash")
    run([uv, "pip", "install", "-q", "--require-hashes", "-r", str(lock)], "Installing the packages", env)
    say("installing sitewright itself")
    build = str(root / "requirements" / "build.lock")
    run([uv, "pip", "install", "-q", "--no-deps", "--build-constraints", build, "-e", str(root)], "Installing sitewright into .venv", env)


def install(root: Path, kind: str) -> None:
    """All of it. The stamp is written last, so a cut-off installation is done again."""
    started = time.monotonic()
    venv = root / ".venv"
    stamp = venv / f".installed-{kind}.lock"
    stamp.unlink(missing_ok=True)
    make_venv(venv)
    install_uv(root, venv)
    install_locked(root, venv, kind)
    for name in KINDS if kind == "dev" else ("run",):
        target = venv / f".installed-{name}.lock"
        partial = target.with_suffix(".partial")
        shutil.copyfile(root / "requirements" / f"{name}.lock", partial)
        partial.replace(target)
    say(f"installed in {time.monotonic() - started:.0f} s")


def locked(root: Path, work: Callable[[], None]) -> None:
    """Run *work* while no other ./sitewright installs into the same folder."""
    with (root / ".venv.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another ./sitewright is installing; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        work()


def main(arguments: list[str]) -> int:
    """See the module's text."""
    if len(arguments) != 2 or arguments[1] not in KINDS:
        say("usage: install.py <root> run|dev")
        return 2
    root, kind = Path(arguments[0]).absolute(), arguments[1]
    # Other users run what is installed here.
    os.umask(0o022)

    def work() -> None:
        stamp = root / ".venv" / f".installed-{kind}.lock"
        lock = root / "requirements" / f"{kind}.lock"
        if not (stamp.exists() and stamp.read_bytes() == lock.read_bytes()):
            install(root, kind)

    try:
        locked(root, work)
    except InstallError as error:
        say(str(error))
        return 10 if "Run `sudo" in str(error) else 1
    except PermissionError as error:
        say(f"{error.filename} cannot be written. Run ./sitewright as the user who owns this folder.")
        return 10
    except KeyboardInterrupt:
        say("stopped; nothing is half installed. Run ./sitewright again to go on.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
