"""Connections are counted by the socket's file, whatever it is called."""

import os
import socket
from pathlib import Path

import pytest

from sitewright.system.sockets import connections_by_file, file_key


@pytest.fixture
def listener(tmp_path_factory):
    path = Path(f"/tmp/sw-count-{os.getpid()}")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(10)
        yield server, path
    path.unlink()


def count(path):
    counts = connections_by_file()
    assert counts is not None, "this kernel lists no unix sockets"
    return counts[file_key(path)]


def visitor(path):
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    return client


def test_who_waits_and_who_was_accepted_count_and_who_has_hung_up_does_not(listener):
    server, path = listener
    assert count(path) == 0
    with visitor(path):
        assert count(path) == 1, "it waits to be accepted"
        accepted, _ = server.accept()
        assert count(path) == 1
        with visitor(path):
            assert count(path) == 2
    second, _ = server.accept()
    assert count(path) == 0, "the app has not noticed yet"
    accepted.close()
    second.close()


def test_another_name_of_the_same_socket_is_the_same(listener):
    _, path = listener
    link, symlink = path.with_suffix(".l"), path.with_suffix(".s")
    os.link(path, link)
    symlink.symlink_to(link.name)
    try:
        with visitor(path):
            assert count(symlink) == 1
    finally:
        link.unlink()
        symlink.unlink()


def test_a_socket_that_is_not_there_has_no_key(tmp_path):
    assert file_key(tmp_path / "nothing") is None
