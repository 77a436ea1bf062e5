"""Groups of commands that show something when nothing else is said: `keys` is `keys list`, `channels NAME` is `channels list NAME`."""

from __future__ import annotations

from typing import Any, ClassVar

from typer.core import TyperGroup


class ByDefault(TyperGroup):
    """A group whose first word is one of its commands, or what its usual command is about."""

    usual: ClassVar[str] = "list"
    alone: ClassVar[bool] = False
    """Whether the usual command also runs without any word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See ``click.Group``: a first word that is no command belongs to the usual one."""
        asks_for_help = any(word in {"-h", "--help"} for word in args[:1])
        if (not args and self.alone) or (args and not asks_for_help and args[0] not in self.commands):
            args = [self.usual, *args]
        return super().parse_args(ctx, args)


class ListsByDefault(ByDefault):
    """`GROUP NAME` is `GROUP list NAME`."""


class ListsAlone(ByDefault):
    """`GROUP` is `GROUP list`."""

    alone = True


class ShowsByDefault(ByDefault):
    """`GROUP NAME` is `GROUP show NAME`."""

    usual = "show"
