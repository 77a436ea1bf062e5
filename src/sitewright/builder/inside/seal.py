"""Runs inside a sandbox, as the site's user, when a build has ended: drop what only the build needed, make the tree readable, count it,
and pack it. Arguments: maximal bytes (0: none), archive ("" for none), folders to drop… Prints one line of JSON.

Deterministic: the same tree gives the same archive, byte for byte. Compiled Python is made so that it holds no times.
"""

import compileall
import json
import os
import py_compile
import shutil
import stat
import subprocess
import sys


def drop(folders):
    for folder in folders:
        if os.path.isdir(folder) and not os.path.islink(folder):
            shutil.rmtree(folder)
        elif os.path.lexists(folder):
            os.unlink(folder)


def remove_caches(top):
    """__pycache__ below *top*: what is in there depends on which modules happened to be imported."""
    for folder, folders, _ in os.walk(top):
        if "__pycache__" in folders:
            folders.remove("__pycache__")
            shutil.rmtree(os.path.join(folder, "__pycache__"), ignore_errors=True)


def compile_python(folder):
    compileall.compile_dir(folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH, workers=1)


def settle(top):
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


def make_sure_folders_open(top):
    os.chmod(top, 0o755)
    with os.scandir(top) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                make_sure_folders_open(entry.path)


def main():
    most, archive, compiled, *folders = sys.argv[1:]
    sys.setrecursionlimit(5000)
    make_sure_folders_open(".")
    drop(folders)
    if compiled:
        remove_caches(".")
        compile_python(".")
    files, size = settle(".")
    if int(most) and size > int(most):
        print(json.dumps({"over": size}))
        return
    if archive:
        subprocess.run(
            ["/usr/bin/tar", "--create", f"--file={archive}", "--directory=.", "--format=gnu", "--sort=name", "--mtime=@0", "--owner=0",
             "--group=0", "--numeric-owner", "--no-acls", "--no-xattrs", "--hard-dereference", "."],
            check=True,
        )  # fmt: skip
    print(json.dumps({"files": files, "bytes": size}))


main()
