"""Prints docs/reference/bus.md: `python -m sitewright.bus.reference`. CI compares it with what is committed."""

from __future__ import annotations

import inspect
import sys

from sitewright.bus import messages, subjects

NODE = "<node>"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _code(items: list[str]) -> str:
    return ", ".join(f"`{item}`" for item in items)


def _subjects() -> list[str]:
    """The table of the module's docstring."""
    lines = (subjects.__doc__ or "").splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("====")]
    starts = [0, *(at + 1 for at, sign in enumerate(lines[rules[0]]) if sign == " " and lines[rules[0]][at + 1] == "=")]
    rows = []
    for line in lines[rules[1] + 1 : rules[2]]:
        first, *rest = (line[begin:end].strip() for begin, end in zip(starts, [*starts[1:], None], strict=True))
        rows.append(
            f"| `{first}` | {' | '.join(_cell(part) for part in rest)} |".replace("see ``messages.METHODS``", "see the next table").replace(
                "see ``messages.DOOR_METHODS``", "see below"
            )
        )
    return rows


def _messages() -> list[str]:
    """A row a message: fields and what it says."""
    kinds = [kind for kind in vars(messages).values() if inspect.isclass(kind) and issubclass(kind, messages.Message)]
    rows = []
    for kind in kinds:
        if kind is not messages.Message:
            says = " ".join((kind.__doc__ or "").split())
            rows.append(f"| `{kind.__name__}` | {_code(list(kind.model_fields))} | {_cell(says).replace('``', '`')} |")
    return rows


def page() -> str:
    """The whole page."""
    publish, subscribe = subjects.node_permissions(NODE)
    doors_publish, doors_subscribe = subjects.door_permissions("<door>")
    managers_publish, managers_subscribe = subjects.manager_permissions()
    lines = [
        "# The bus\n",
        "Made from the program by `make docs`; change it there.\n",
        "The parts of a platform talk over NATS, in JSON. Unknown fields are ignored, so that old and new parts understand each other. "
        "Messages only make things fast: what must be true is compared again from time to time.\n",
        "## Subjects\n",
        "| subject | who sends → who answers | message → answer |\n|---|---|---|",
        *_subjects(),
        "\n## What a node answers\n",
        "Under `rpc.<node>.<method>`. An error travels back as `Failure`.\n",
        "| method | message | answer |\n|---|---|---|",
        *(f"| `{name}` | `{asked.__name__}` | `{answer.__name__}` |" for name, (asked, answer) in messages.METHODS.items()),
        "\n## What the manager answers\n",
        "To a node under `node.<node>.<topic>`, to the SSH door under `door.<door>.<method>`.\n",
        "| who asks | topic or method | message | answer |\n|---|---|---|---|",
        *(f"| a node | `{name}` | `{asked.__name__}` | `{answer.__name__}` |" for name, (asked, answer) in messages.NODE_QUESTIONS.items()),
        *(f"| the door | `{name}` | `{asked.__name__}` | `{answer.__name__}` |" for name, (asked, answer) in messages.DOOR_METHODS.items()),
        "\n## Permissions\n",
        "Each has credentials of its own, made at installation.\n",
        "| | may publish | may subscribe |\n|---|---|---|",
        f"| a node | {_code(publish)} | {_code(subscribe)} |",
        f"| a door | {_code(doors_publish)} | {_code(doors_subscribe)} |",
        f"| the manager | {_code(managers_publish)} | {_code(managers_subscribe)} |",
        "\n## Messages\n",
        "| message | fields | |\n|---|---|---|",
        *_messages(),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
