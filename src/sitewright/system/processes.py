"""The only door to other programs: argv lists in, output out, never a shell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sitewright.errors import SitewrightError


class CommandFailedError(SitewrightError):
    """A program that the platform needs did not do its work."""

    code = "command_failed"
    permanent = False


@dataclass(frozen=True, slots=True)
class Completed:
    """A program's end: exit code (negative: minus the signal) and what it wrote."""

    code: int
    output: bytes
    errors: bytes

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.code == 0


class Runner(Protocol):
    """Runs programs; the recording fake in sitewright.testing answers from a script."""

    async def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = 60.0
    ) -> Completed:
        """Run *argv* to its end. Raises CommandFailedError when it cannot start or takes longer than *timeout* seconds."""
        ...


class SystemRunner:
    """Runs programs on this machine."""

    async def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = 60.0
    ) -> Completed:
        """Run *argv* to its end in a session of its own; on time-out the whole session is killed."""
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env) if env is not None else None,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailedError(f"The program “{argv[0]}” could not be started.", details=str(error)) from error
        try:
            async with asyncio.timeout(timeout):
                output, errors = await process.communicate(stdin)
        except TimeoutError as error:
            raise CommandFailedError(f"The program “{argv[0]}” took longer than {timeout:.0f} s and was ended.") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return Completed(process.returncode if process.returncode is not None else -1, output, errors)


async def check(runner: Runner, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> bytes:
    """Run *argv* and return its output. Raises CommandFailedError with its last error lines when it does not end with 0."""
    done = await runner.run(argv, stdin=stdin, timeout=timeout)
    if not done.ok:
        raise CommandFailedError(
            f"The program “{argv[0]}” ended with {done.code}.", details=done.errors.decode(errors="replace")[-2000:].strip()
        )
    return done.output


def run_blocking(argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = 60.0) -> Completed:
    """The same for code without an event loop (bootstrap, doctor). Raises CommandFailedError."""
    try:
        done = subprocess.run(
            list(argv), input=stdin, capture_output=True, env=dict(env) if env is not None else None, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailedError(f"The program “{argv[0]}” could not be run.", details=str(error)) from error
    return Completed(done.returncode, done.stdout, done.stderr)


def check_blocking(argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 60.0) -> bytes:
    """``check`` for code without an event loop. Raises CommandFailedError with the last error lines."""
    done = run_blocking(argv, env=env, timeout=timeout)
    if not done.ok:
        raise CommandFailedError(
            f"The program “{argv[0]}” ended with {done.code}.", details=done.errors.decode(errors="replace")[-2000:].strip()
        )
    return done.output
