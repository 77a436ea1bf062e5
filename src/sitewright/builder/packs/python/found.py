"""A Python web app and the process that serves it. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.domain.processes import TAKES_DESCRIPTOR, Listen, ProcessSpec

GUNICORN = (
    TAKES_DESCRIPTOR + "gunicorn --workers 1 --threads {threads} --worker-class {worker} --access-logfile - "
    "--access-logformat '{line}' --forwarded-allow-ips '*'"
)
"""Takes descriptor 3 as systemd hands it over (LISTEN_FDS is set by the engine): unlike `--bind fd://3`, gunicorn then leaves the
socket's path alone when it stops, instead of failing on a path that is not there inside. A unix socket has no client address: the header
has it."""
ACCESS_LINE = '%({x-forwarded-for}i)s "%(r)s" %(s)s %(b)s %(M)sms'
AIOHTTP_LINE = '%{X-Forwarded-For}i "%r" %s %b %Tfs'
UVICORN = "exec uvicorn --fd 3 --proxy-headers --forwarded-allow-ips '*'"


@dataclass(frozen=True, slots=True)
class WebApp:
    """An app object: ``target`` is `module:object`. ``kind`` is wsgi, asgi or command (then ``target`` is the command)."""

    framework: str
    kind: str
    target: str
    factory: bool = False
    folder: str = ""
    """Where it is started, when its modules import each other from there."""
    sockets: bool = False
    """Whether each visitor may hold a connection, and with it a thread."""

    def process(self) -> ProcessSpec:
        """The web process that serves it."""
        start = f"cd {self.folder} && " if self.folder else ""
        if self.kind == "command":
            return ProcessSpec(type="web", command=f"{start}{self.target}", listen=Listen.PORT)
        if self.kind == "asgi":
            factory = " --factory" if self.factory else ""
            return ProcessSpec(type="web", command=f"{start}{UVICORN}{factory} {self.target}", listen=Listen.FD)
        worker = "aiohttp.GunicornWebWorker" if self.kind == "aiohttp" else "gthread"
        line = AIOHTTP_LINE if self.kind == "aiohttp" else ACCESS_LINE
        gunicorn = GUNICORN.format(threads=100 if self.sockets else 8, worker=worker, line=line)
        target = f"'{self.target}()'" if self.factory else self.target
        return ProcessSpec(type="web", command=f"{start}{gunicorn} {target}", listen=Listen.FD)
