"""The wake server's conversations, over a real socket, for a channel on a machine that is all memory."""

import asyncio
import os
import socket
from dataclasses import replace

import pytest

from sitewright.orchestrator import wake
from sitewright.orchestrator.wake import INHERITED, WakeServer, inherited, make_listener
from sitewright.testing.orchestra import Machine, channel, release

QUESTION = b"GET / HTTP/1.1\r\nHost: w\r\nX-Sitewright-Host: guestbook.localhost\r\nX-Sitewright-Patience: client\r\n\r\n"


@pytest.fixture
async def server(tmp_path_factory):
    machine = Machine(tmp_path_factory.mktemp("w"))
    await machine.boot()
    await machine.put(replace(channel(1, release(1))))
    await machine.settle(3)
    waker = WakeServer(machine.orchestrator)
    await waker.open()
    yield machine, waker
    await waker.close()
    await machine.kill()


async def connect(machine):
    return await asyncio.open_unix_connection(str(machine.settings.paths.wake_socket))


async def hang_up(writer):
    writer.close()
    await writer.wait_closed()


async def test_one_connection_may_ask_again_and_again(server):
    machine, _ = server
    reader, writer = await connect(machine)
    for _ in range(3):
        writer.write(QUESTION)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
    writer.write(QUESTION.replace(b"guestbook", b"nobody") * 2)
    for _ in range(2):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
    await hang_up(writer)


@pytest.mark.parametrize("words", [b"\0\1\2 garbage\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, b"HELO alice\r\n\r\n"])
async def test_whoever_does_not_speak_http_is_not_listened_to(server, words):
    machine, waker = server
    reader, writer = await connect(machine)
    writer.write(words)
    assert b" 20" not in await reader.read()
    await hang_up(writer)
    reader, writer = await connect(machine)
    writer.write(QUESTION)
    assert b" 204 " in await reader.readline()
    await hang_up(writer)
    assert len(waker.wakes) == 0


async def test_whoever_says_nothing_is_let_go(server, monkeypatch):
    machine, _ = server
    monkeypatch.setattr(wake, "IDLE_SECONDS", 0.05)
    reader, writer = await connect(machine)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    await hang_up(writer)


async def test_questions_wait_in_an_inherited_socket_until_somebody_answers(server, monkeypatch):
    machine, waker = server
    await waker.close()
    path = machine.settings.paths.wake_socket
    kept = make_listener(path)
    reader, writer = await connect(machine)
    writer.write(QUESTION)
    monkeypatch.setenv(INHERITED, str(os.dup(kept.fileno())))
    second = WakeServer(machine.orchestrator)
    await second.open()
    assert INHERITED not in os.environ
    assert b" 204 " in await asyncio.wait_for(reader.readline(), 10)
    await hang_up(writer)
    await second.close()
    assert path.exists()
    reader, writer = await connect(machine)
    await hang_up(writer)
    kept.close()


def test_without_an_inherited_socket_there_is_none(monkeypatch):
    monkeypatch.delenv(INHERITED, raising=False)
    assert inherited() is None
    monkeypatch.setenv(INHERITED, "nonsense")
    assert inherited() is None


async def test_a_socket_that_a_dead_node_left_is_replaced(tmp_path):
    for _ in range(2):
        listener = make_listener(tmp_path / "w.sock")
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.connect(str(tmp_path / "w.sock"))
        listener.close()
