"""Runs inside a sandbox, as the site's user, when a build has ended: list what was installed, drop what only the build needed, make the
tree readable, count it, and pack it. Arguments: maximal bytes (0: none), archive ("" for none), list of what was installed, "yes" to
compile Python, folders to drop… Prints one line of JSON.

Deterministic: the same tree gives the same archive, byte for byte. Compiled Python is made so that it holds no times, and with
PYTHONHASHSEED=0 in this script's environment, else sets of constants are stored in another order each time.

It is part of every deploy, so modules that only some builds need are imported by them, and so little JSON is written by hand.
"""

import os
import stat
import sys


def drop(folders: list[str]) -> None:
    import shutil

    for folder in folders:
        if os.path.isdir(folder) and not os.path.islink(folder):
            shutil.rmtree(folder)
        elif os.path.lexists(folder):
            os.unlink(folder)


def compile_own_code(top: str) -> None:
    """Fresh bytecode for the app's own modules: what is there depends on which happened to be imported. Installed packages have theirs."""
    import compileall
    import py_compile
    import shutil

    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for folder, folders, names in os.walk(top):
        shutil.rmtree(os.path.join(folder, "__pycache__"), ignore_errors=True)
        folders[:] = [name for name in folders if name not in (".venv", "node_modules", "__pycache__")]
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(".py") and os.path.isfile(path) and not os.path.islink(path):
                compileall.compile_file(path, ddir=os.path.join("/app", folder), quiet=2, invalidation_mode=mode)


def settle(top: str) -> tuple[int, int]:
    """Readable for the web server, without set-user-id bits; returns files and bytes. Removes sockets, pipes and devices."""
    files = size = 0
    for folder, _, names in os.walk(top):
        os.chmod(folder, 0o755)
        for name in names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            files += 1
            if stat.S_ISREG(status.st_mode):
                size += status.st_size
                wanted = 0o755 if status.st_mode & 0o100 else 0o644
                if stat.S_IMODE(status.st_mode) != wanted:
                    os.chmod(path, wanted)
            elif not stat.S_ISLNK(status.st_mode):
                os.unlink(path)
    return files, size


def make_sure_folders_open(top: str) -> None:
    os.chmod(top, 0o755)
    with os.scandir(top) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                make_sure_folders_open(entry.path)


def list_installed(target: str) -> None:
    """Most sites have installed nothing; the script that looks closer is read only for the others."""
    if any(map(os.path.isdir, (".venv", "node_modules", "vendor"))):
        import runpy

        runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "installed.py"))["write"](target)


def main() -> None:
    most, archive, listed, compiled, *folders = sys.argv[1:]
    sys.setrecursionlimit(5000)
    make_sure_folders_open(".")
    list_installed(listed)
    if folders:
        drop(folders)
    if compiled:
        compile_own_code(".")
    files, size = settle(".")
    if int(most) and size > int(most):
        print(f'{{"over": {size}}}')
        return
    if archive and pack(archive):
        sys.exit("tar failed")
    print(f'{{"files": {files}, "bytes": {size}}}')


def pack(archive: str) -> int:
    """Tar's exit code."""
    argv = [
        "/usr/bin/tar", "--create", f"--file={archive}", "--directory=.", "--format=gnu", "--sort=name", "--mtime=@0", "--owner=0",
        "--group=0", "--numeric-owner", "--no-acls", "--no-xattrs", "--hard-dereference", ".",
    ]  # fmt: skip
    return os.spawnv(os.P_WAIT, argv[0], argv)


main()
