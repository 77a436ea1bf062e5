"""A small Gitea-like server for tests: repositories over git's smart HTTP protocol (by git's own `http-backend`), statuses, comments, web
hooks, and the web hooks themselves, signed. One token opens everything.

``with Forge(folder) as forge:`` … ``forge.create("alice/notes")`` … ``forge.commit("alice/notes", "main", {"index.html": "Hello"})``.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import os
import re
import socket
import subprocess
import threading
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "forge-token-of-the-tests"
_API = re.compile(r"/api/v1/repos/([^/]+/[^/]+)(/.*)")
_GIT = re.compile(r"/([^/]+/[^/]+?)(?:\.git)?/(info/refs|git-upload-pack)")
ZEROS = "0" * 40


@dataclass
class Said:
    """What was told to the server about one repository."""

    statuses: list[dict[str, Any]] = field(default_factory=list)
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    hooks: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Delivery:
    """A web hook as it is sent."""

    headers: dict[str, str]
    body: bytes


class Forge:
    """The server, on loopback or behind *listener*.

    ``fails`` answers that status to the next calls of its interface, one each; ``private``: git, too, has to show the token.
    """

    def __init__(self, folder: Path, listener: socket.socket | None = None) -> None:
        self.folder = folder
        self.said: dict[str, Said] = {}
        self.calls: list[tuple[str, str]] = []
        self.fails: list[int] = []
        self.private = True
        self._numbers = itertools.count(4_000_000_001)
        self._moments = itertools.count(1_800_000_000)
        self._server = _Server(self, listener)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Forge:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return "http://{}:{}".format(*self._server.server_address[:2])

    def clone_url(self, project: str) -> str:
        """What is given to git."""
        return f"{self.url}/{project}.git"

    def create(self, project: str, branch: str = "main") -> None:
        """An empty repository."""
        self.said[project] = Said()
        self._path(project).mkdir(parents=True)
        self.git(project, "init", "--quiet", "--bare", f"--initial-branch={branch}", ".")

    def _path(self, project: str) -> Path:
        return self.folder / f"{project}.git"

    def git(self, project: str, *words: str, given: bytes = b"", environment: Mapping[str, str] | None = None) -> str:
        """What git says, run in the bare repository."""
        own = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", **(environment or {})}
        done = subprocess.run(["git", *words], cwd=self._path(project), env=own, input=given, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(self, project: str, branch: str, files: Mapping[str, str], *, root: bool = False, ref: str = "") -> str:
        """A commit with exactly these files (in one folder) on top of the branch, or without a parent; *ref* moves another reference."""
        rows = []
        for name, text in files.items():
            blob = self.git(project, "hash-object", "-w", "--stdin", given=text.encode())
            rows.append(f"100644 blob {blob}\t{name}\n")
        tree = self.git(project, "mktree", given="".join(rows).encode())
        before = self.refs(project).get(f"refs/heads/{branch}", "")
        parent = () if root or not before else ("-p", before)
        when = f"{next(self._moments)} +0000"
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Alice"), ("DATE", when))}
        who |= {"GIT_AUTHOR_EMAIL": "alice@example.org", "GIT_COMMITTER_EMAIL": "alice@example.org"}
        made = self.git(project, "commit-tree", tree, *parent, "-m", f"Change {branch}", environment=who)
        self.git(project, "update-ref", ref or f"refs/heads/{branch}", made)
        return made

    def delete(self, project: str, ref: str) -> None:
        """A branch or tag is gone."""
        self.git(project, "update-ref", "-d", ref)

    def refs(self, project: str) -> dict[str, str]:
        """Whole names and commits."""
        lines = self.git(project, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ") for line in lines)

    def pushed(self, project: str, secret: str, ref: str, old: str, new: str) -> Delivery:
        """The web hook of a push; *old* or *new* "" is none."""
        body = {"ref": ref, "before": old or ZEROS, "after": new or ZEROS, "repository": self._repository(project), **_BY_ALICE}
        return self.sign("push", body, secret)

    def pull(self, project: str, secret: str, number: int, action: str, **said: Any) -> Delivery:
        """The web hook of a pull request: ``head``, ``branch``, ``head_project``, ``merged``, ``at``."""
        head = {"ref": said.get("branch", "feature"), "sha": said["head"], "repo": self._repository(said.get("head_project", project))}
        one = {
            "number": number,
            "title": said.get("title", "A new page"),
            "user": {"login": said.get("author", "bob")},
            "html_url": f"{self.url}/{project}/pulls/{number}",
            "state": "closed" if action == "closed" else "open",
            "merged": said.get("merged", False),
            "head": head,
            "base": {"ref": "main", "sha": ZEROS, "repo": self._repository(project)},
            "updated_at": said.get("at", ""),
        }
        body = {"action": action, "number": number, "pull_request": one, "repository": self._repository(project), **_BY_ALICE}
        return self.sign("pull_request", body, secret)

    def sign(self, event: str, body: dict[str, Any], secret: str) -> Delivery:
        """As Gitea does it, with an id of its own."""
        text = json.dumps({**body, "moment": next(self._moments)}).encode()
        number = next(self._numbers)
        headers = {
            "Content-Type": "application/json",
            "X-Gitea-Event": event,
            "X-Gitea-Delivery": f"00000000-0000-4000-8000-{number:012d}",
            "X-Gitea-Signature": hmac.new(secret.encode(), text, hashlib.sha256).hexdigest(),
        }
        return Delivery(headers, text)

    def _repository(self, project: str) -> dict[str, Any]:
        return {"id": 1, "full_name": project, "clone_url": self.clone_url(project), "default_branch": "main"}

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Its interface."""
        self.calls.append((method, path))
        if self.fails:
            return self.fails.pop(0), {"message": "It is broken."}
        found = _API.fullmatch(path)
        if found is None or found[1] not in self.said:
            return 404, {"message": "Not found."}
        return self._answer(self.said[found[1]], method, found[2], body)

    def _answer(self, said: Said, method: str, rest: str, body: dict[str, Any]) -> tuple[int, Any]:
        if method == "POST" and rest == "/hooks":
            said.hooks.append(body)
            return 201, {"id": len(said.hooks)}
        if method == "POST" and (status := re.fullmatch(r"/statuses/([0-9a-f]{40})", rest)):
            said.statuses.append({**body, "sha": status[1]})
            return 201, {"id": len(said.statuses)}
        if issue := re.fullmatch(r"/issues/(\d+)/comments", rest):
            if method == "GET":
                return 200, [one for one in said.comments.values() if one["issue"] == int(issue[1])]
            number = next(self._numbers)
            said.comments[number] = {"id": number, "issue": int(issue[1]), "body": body["body"]}
            return 201, said.comments[number]
        one = re.fullmatch(r"/issues/comments/(\d+)", rest)
        if method == "PATCH" and one and int(one[1]) in said.comments:
            said.comments[int(one[1])]["body"] = body["body"]
            return 200, said.comments[int(one[1])]
        return 404, {"message": "Not found."}

    def backend(self, handler: BaseHTTPRequestHandler, given: bytes) -> bytes:
        """What git's CGI program answers, headers and all."""
        path, _, query = handler.path.partition("?")
        if not path.partition("/info/")[0].partition("/git-")[0].endswith(".git"):
            path = re.sub(r"^(/[^/]+/[^/]+)", r"\1.git", path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(self.folder),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": handler.command,
            "CONTENT_TYPE": handler.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(given)),
            "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": handler.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        return subprocess.run(["git", "http-backend"], env=environment, input=given, capture_output=True, check=True).stdout


_BY_ALICE = {"pusher": {"login": "alice"}, "sender": {"login": "alice"}}


class _Server(ThreadingHTTPServer):
    def __init__(self, forge: Forge, listener: socket.socket | None) -> None:
        self.forge = forge
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=listener is None)
        if listener is not None:
            self.socket.close()
            self.socket = listener
            self.server_address = listener.getsockname()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def forge(self) -> Forge:
        """Whose requests these are."""
        assert isinstance(self.server, _Server)
        return self.server.forge

    def _serve(self) -> None:
        given = self._body()
        if self.path.startswith("/api/"):
            self._interface(given)
        elif _GIT.fullmatch(self.path.partition("?")[0]):
            self._repository(given)
        else:
            self._send(404, b"", "text/plain")

    do_GET = do_POST = do_PATCH = do_PUT = _serve  # noqa: N815 - named by the standard library

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        read = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            read += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(read)

    def _interface(self, given: bytes) -> None:
        if self.headers.get("Authorization") != f"token {TOKEN}":
            self._send(401, b"{}", "application/json")
            return
        status, body = self.forge.answer(self.command, self.path, json.loads(given or b"{}"))
        self._send(status, json.dumps(body).encode(), "application/json")

    def _repository(self, given: bytes) -> None:
        kind, _, sent = self.headers.get("Authorization", "").partition(" ")
        if self.forge.private and (kind != "Basic" or b64decode(sent).decode().partition(":")[2] != TOKEN):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="forge"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        head, _, body = self.forge.backend(self, given).partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200 OK").split()[0])
        self._send(status, body, headers["Content-Type"])

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""
