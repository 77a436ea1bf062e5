"""`python -m sitewright.up up|restart|down|doctor`: what the command line hands over to."""

from __future__ import annotations

import sys

from sitewright.config.settings import load_settings
from sitewright.errors import InvalidValueError, SitewrightError
from sitewright.up.screen import say_error


def run(arguments: list[str]) -> int:
    """Do what the first word says; the exit code. Raises SitewrightError."""
    verb, *options = arguments or [""]
    settings = load_settings()
    if verb == "up":
        from sitewright.up.start import Options, up  # noqa: PLC0415 - each verb imports what it needs

        up(settings, Options(sample="--no-sample" not in options))
        return 0
    if verb == "restart":
        from sitewright.up.restart import restart  # noqa: PLC0415

        return restart(settings)
    if verb == "down":
        from sitewright.up.down import down  # noqa: PLC0415

        return down(settings)
    if verb == "doctor":
        from sitewright.up.doctor import doctor  # noqa: PLC0415

        return doctor(settings, as_json="--json" in options)
    raise InvalidValueError(f"“{verb}” is none of up, restart, down, doctor.")


def _keep_traceback(error: Exception) -> None:
    """A person gets a sentence; the traceback goes to a file that they can send to whoever mends it."""
    import tempfile  # noqa: PLC0415
    import traceback  # noqa: PLC0415

    with tempfile.NamedTemporaryFile("w", prefix="sitewright-error-", suffix=".txt", delete=False) as file:
        file.write("".join(traceback.format_exception(error)))
    details = f"{type(error).__name__}; the details are in {file.name}."
    say_error(SitewrightError("Something went wrong that nobody foresaw.", details=details, resolution="Please report it with that file."))


def main() -> None:
    """Run and end with the exit code; errors as sentences."""
    try:
        sys.exit(run(sys.argv[1:]))
    except SitewrightError as error:
        say_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        _keep_traceback(error)
        sys.exit(SitewrightError.exit_code)
    except KeyboardInterrupt:
        print("sitewright: stopped before it was started; nothing runs.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
