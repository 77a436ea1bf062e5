"""`python trouble.py KIND SECONDS`: one kind of trouble, which ends by itself."""

import os
import signal
import socket
import sys
import threading
import time

kind, end = sys.argv[1], time.monotonic() + float(sys.argv[2])


def going():
    return time.monotonic() < end


def rest():
    while going():
        time.sleep(0.05)


def say(text):
    with open(os.path.join(os.environ["SITEWRIGHT_DATA"], kind), "w") as file:
        file.write(text)


def forks():
    children = 0
    for _ in range(10_000):
        try:
            pid = os.fork()
        except OSError:
            continue
        if not pid:
            rest()
            os._exit(0)
        children += 1
    say(f"{children} processes")
    rest()


def memory():
    blocks = []
    for _ in range(8 * 1024):
        blocks.append(b"x" * 1024 * 1024)


def log():
    line = b"x" * 1023 + b"\n"
    written, began = 0, time.monotonic()
    while going():
        written += os.write(1, line * 64)
        time.sleep(max(0.0, written / 50e6 - (time.monotonic() - began)))
    say(f"{written} bytes")


def files():
    held = []
    try:
        while len(held) < 20_000:
            held.append(open("/dev/null"))
    except OSError as error:
        number = len(held)
        held.pop().close()
        say(f"{number} files, then: {error.strerror}")
    rest()


def disk():
    size = 0
    with open(os.path.join(os.environ["SITEWRIGHT_DATA"], "big"), "wb") as file:
        while going():
            size += file.write(os.urandom(1024 * 1024))
            file.flush()
            time.sleep(0.01)


def cpu():
    def burn():
        while going():
            pass

    for _ in range(64):
        if not os.fork():
            burn()
            os._exit(0)
    rest()


def bomb():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while going():
        try:
            if not os.fork():
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
        except OSError:
            time.sleep(0.001)


def scratch():
    told = []
    for folder in ("/tmp", "/dev/shm"):
        size = 0
        try:
            with open(f"{folder}/full", "wb") as file:
                while size < 1024**3:
                    size += file.write(b"x" * 1024 * 1024)
                    file.flush()
        except OSError as error:
            told.append(f"{folder} {size >> 20} MB: {error.strerror}")
    say("; ".join(told))
    for folder in ("/tmp", "/dev/shm"):
        try:
            os.unlink(f"{folder}/full")
        except OSError:
            pass


def connections():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    held, taken = [], []

    def accept():
        while True:
            try:
                taken.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    try:
        for _ in range(2_000):
            held.append(socket.create_connection(listener.getsockname(), timeout=5))
    except OSError as error:
        say(f"{len(held)}, then: {error.strerror}")
    else:
        say(f"{len(held)} connections")
    rest()


globals()[kind]()
