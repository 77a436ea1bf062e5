"""Every subject on the bus. A node's credentials allow exactly `permissions(node)`; docs/reference/bus.md shows the same table.

=============================  ==============================  ========================================
subject                        who sends → who answers         message → answer (sitewright.bus.messages)
=============================  ==============================  ========================================
rpc.<node>.<method>            manager → node (request)        see ``messages.METHODS``
node.<node>.heartbeat          node → managers                 Heartbeat
node.<node>.events             node → manager (request)        EventBatch → Ack
node.<node>.build              node → managers                 BuildStatus
node.<node>.hello              node → manager (request)        Hello → Ack
node.<node>.push               node → manager (request)        PushAsked → PushVerdict
node.<node>.follow             node → manager (request)        OperationFollow → OperationNews
door.<door>.<method>           door → manager (request)        see ``messages.DOOR_METHODS``
stream.<node>.<session>.out    node → manager                  StreamChunk
stream.<node>.<session>.in     manager → node                  StreamChunk
=============================  ==============================  ========================================

A door's sessions are two tokens, `<door>.<id>`: so its credentials let it hear its own and nobody else's.
"""

from __future__ import annotations

from sitewright.domain.identity import is_id

MANAGER_QUEUE = "managers"
DOOR = "door"
"""The SSH door of a machine: its name on the bus."""


def rpc(node: str, method: str) -> str:
    """Where *node* answers *method*."""
    return f"rpc.{node}.{method}"


def node_topic(node: str, topic: str) -> str:
    """Where *node* speaks; `*` as node listens to all."""
    return f"node.{node}.{topic}"


def door(name: str, method: str) -> str:
    """Where the door *name* asks the manager; `*` as name listens to all."""
    return f"door.{name}.{method}"


def stream_in(node: str, session: str) -> str:
    """Input of a terminal or command."""
    return f"stream.{node}.{session}.in"


def stream_out(node: str, session: str) -> str:
    """Output of a terminal or command."""
    return f"stream.{node}.{session}.out"


def door_session(name: str, session: str) -> str:
    """A session that the door *name* opens, as requests and subjects of streams name it."""
    return f"{name}.{session}"


def is_session(session: str) -> bool:
    """Whether *session* is one that the manager or a door may open; check before listening to its input."""
    opener, dot, own = session.rpartition(".")
    return is_id(own) and opener == (DOOR if dot else "")


def node_permissions(node: str) -> tuple[list[str], list[str]]:
    """What a node's credentials may publish and subscribe to: its own subjects and nothing else. Answers go by allow_responses."""
    publish = [f"node.{node}.>", f"stream.{node}.*.out", f"stream.{node}.*.*.out"]
    subscribe = [f"rpc.{node}.>", f"stream.{node}.*.in", f"stream.{node}.*.*.in", f"_INBOX.{node}.>"]
    return publish, subscribe


def manager_permissions() -> tuple[list[str], list[str]]:
    """What the manager's credentials may publish and subscribe to."""
    return ["rpc.>", "stream.*.*.in"], ["node.>", "door.>", "stream.*.*.out", "_INBOX.manager.>"]


def door_permissions(name: str) -> tuple[list[str], list[str]]:
    """What a door's credentials may publish and subscribe to: its own questions, and the streams of its own sessions."""
    return [f"door.{name}.>", f"stream.*.{name}.*.in"], [f"stream.*.{name}.*.out", f"_INBOX.{name}.>"]
