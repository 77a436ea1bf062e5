"""Node listens on the engine's socket where it asks for $PORT; whatever else it does works as behind a relay."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import replace

import pytest

from sitewright.domain.limits import MIB, Limits
from sitewright.domain.processes import Listen
from sitewright.engines.base import EngineState, InstanceSpec
from sitewright.engines.environment import has_extra_authorities
from sitewright.engines.sandbox.record import Folder, load
from sitewright.engines.sandbox.spawn import children
from sitewright.testing.engine_lab import Lab, end, get, says, seen, until

LIMITS = Limits(memory_bytes=256 * MIB, pids=64)
ANSWER = """
const http = require('node:http');
const server = http.createServer((request, response) => response.end(JSON.stringify({
  remote: request.socket.remoteAddress, address: server.address(), options: process.env.NODE_OPTIONS ?? '',
  mark: process.env.SITEWRIGHT_LISTEN ?? '' })));
"""


def app(lab: Lab, script: str, *, env: tuple[tuple[str, str], ...] = (), command: str = "exec node app.js") -> InstanceSpec:
    """An instance that runs *script*."""
    (lab.folder / "app.js").write_text(script)
    spec = lab.instance(command, listen=Listen.PORT, limits=LIMITS, env=env)
    return replace(spec, adopts=True)


async def answers(lab: Lab, spec: InstanceSpec) -> None:
    """Wait until it is reached as the prober does it."""

    async def answer() -> bool:
        return await lab.engine.listening(spec.id) and await asyncio.to_thread(get, spec.socket) == 200

    await until(answer, f"it answers; it wrote {bytes(lab.output.get(spec.id, b''))!r}")


async def body(spec: InstanceSpec) -> dict[str, object]:
    """What it answers with."""
    reader, writer = await asyncio.open_unix_connection(str(spec.socket))
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    text = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    value: dict[str, object] = json.loads(text.partition(b"\r\n\r\n")[2])
    return value


def has_relay(spec: InstanceSpec) -> bool:
    """Whether a relay was started for it."""
    record = load(Folder(spec.socket.parent))
    return record is not None and record.relay[0] > 0


@pytest.mark.parametrize(
    "listen",
    [
        "server.listen(process.env.PORT)",
        "server.listen(Number(process.env.PORT), '0.0.0.0')",
        "server.listen({port: process.env.PORT, host: '127.0.0.1'}, () => console.log('listens'))",
    ],
)
async def test_a_server_that_asks_for_the_port_takes_the_socket_and_sees_what_it_would_behind_a_relay(lab: Lab, listen: str) -> None:
    spec = app(lab, ANSWER + listen)
    await lab.engine.start(spec)
    await answers(lab, spec)
    address = {"address": "::", "family": "IPv6", "port": spec.port}
    options = {"options": "--use-openssl-ca" if has_extra_authorities() else ""}
    assert await body(spec) == {"remote": "127.0.0.1", "address": address, "mark": "", **options}
    assert not has_relay(spec)
    await end(lab, spec.id)


async def test_a_request_that_comes_before_the_server_listens_waits_for_it(lab: Lab) -> None:
    spec = app(lab, ANSWER + "setTimeout(() => server.listen(process.env.PORT), 300)")
    await lab.engine.start(spec)
    found = await seen(lab.engine, spec.id)
    assert found is not None
    assert found.adopting
    assert not await lab.engine.listening(spec.id)
    assert (await body(spec))["remote"] == "127.0.0.1"
    assert not has_relay(spec)
    await end(lab, spec.id)


async def test_one_that_opens_a_port_of_its_own_is_served_by_a_relay_with_those_who_waited(lab: Lab) -> None:
    spec = app(lab, ANSWER + "setTimeout(() => server.listen(3000), 300)")
    await lab.engine.start(spec)
    waits = asyncio.create_task(body(spec))
    await answers(lab, spec)
    assert (await waits)["address"] == {"address": "::", "family": "IPv6", "port": 3000}
    assert has_relay(spec)
    await end(lab, spec.id)


async def test_another_program_that_listens_on_the_port_is_served_by_a_relay(lab: Lab) -> None:
    spec = app(lab, "", command="exec python3 -m http.server $PORT")
    await lab.engine.start(spec)
    await answers(lab, spec)
    assert has_relay(spec)
    await end(lab, spec.id)


async def test_workers_of_a_cluster_share_the_port_as_ever(lab: Lab) -> None:
    fork = "const cluster = require('node:cluster');\nif (cluster.isPrimary) cluster.fork();\nelse server.listen(process.env.PORT)"
    spec = app(lab, ANSWER + fork)
    await lab.engine.start(spec)
    await answers(lab, spec)
    assert has_relay(spec)
    await end(lab, spec.id)


async def test_threads_and_children_do_not_take_it(lab: Lab) -> None:
    script = """
    const { Worker } = require('node:worker_threads');
    const { execFileSync } = require('node:child_process');
    const found = "[process.env.SITEWRIGHT_LISTEN, (process.env.NODE_OPTIONS ?? '').includes('listen.cjs')].join()";
    console.log('child', execFileSync('node', ['-p', found]).toString().trim());
    new Worker(`console.log('thread', ${found})`, { eval: true });
    setTimeout(() => {}, 60000);
    """
    spec = app(lab, script)
    await lab.engine.start(spec)
    await says(lab, spec.id, b"child ,false")
    await says(lab, spec.id, b"thread ,false")
    await end(lab, spec.id)


async def test_the_second_listen_on_the_port_is_an_ordinary_one(lab: Lab) -> None:
    again = "server.listen(process.env.PORT, () => server.close(() => server.listen(process.env.PORT)))"
    spec = app(lab, ANSWER + again)
    await lab.engine.start(spec)
    await answers(lab, spec)
    assert has_relay(spec)
    await end(lab, spec.id)


async def test_below_npm_it_is_served_by_a_relay(lab: Lab) -> None:
    (lab.folder / "package.json").write_text(json.dumps({"scripts": {"start": "true && node app.js"}}))
    spec = app(lab, ANSWER + "server.listen(process.env.PORT)", command="exec npm run --silent start")
    await lab.engine.start(spec)
    await answers(lab, spec)
    assert has_relay(spec)
    await end(lab, spec.id)


async def test_options_of_the_tenant_are_kept(lab: Lab) -> None:
    spec = app(lab, ANSWER + "server.listen(process.env.PORT)", env=(("NODE_OPTIONS", "--max-old-space-size=100"),))
    await lab.engine.start(spec)
    await answers(lab, spec)
    assert (await body(spec))["options"] == "--max-old-space-size=100"
    assert not has_relay(spec)
    await end(lab, spec.id)


async def test_with_options_that_are_no_plain_words_it_starts_behind_a_relay(lab: Lab) -> None:
    spec = app(lab, ANSWER + "server.listen(process.env.PORT)", env=(("NODE_OPTIONS", '--title="a b"'),))
    await lab.engine.start(spec)
    await answers(lab, spec)
    assert (await body(spec))["options"] == '--title="a b"'
    assert has_relay(spec)
    await end(lab, spec.id)


async def test_an_engine_that_is_opened_later_finds_out_again_who_listens(lab: Lab) -> None:
    spec = app(
        lab, ANSWER + "process.on('SIGUSR2', () => server.listen(process.env.PORT)); setInterval(() => {}, 60000); console.log('up')"
    )
    await lab.engine.start(spec)
    await says(lab, spec.id, b"up")
    await lab.reopen()
    assert not await lab.engine.listening(spec.id)
    found = await seen(lab.engine, spec.id)
    assert found is not None
    os.kill(children(found.pid)[0], signal.SIGUSR2)
    await answers(lab, spec)
    assert not has_relay(spec)
    await lab.reopen()
    await answers(lab, spec)
    await lab.engine.freeze(spec.id)
    await lab.engine.thaw(spec.id)
    await answers(lab, spec)
    await lab.engine.stop(spec.id, 5)
    found = await seen(lab.engine, spec.id)
    assert found is not None
    assert found.state is EngineState.EXITED
    assert await asyncio.to_thread(get_or_refused, spec) == 0
    await lab.engine.remove(spec.id)


def get_or_refused(spec: InstanceSpec) -> int:
    try:
        return get(spec.socket)
    except OSError:
        return 0
