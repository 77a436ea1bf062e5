"""Page rules as the file that pages.js reads. Pure: the same rules are the same bytes.

The file is a table of hashes. 16 bytes: `SWR1`, a seed, the number of buckets (a power of two), the file's size; then the place of
each bucket and the end of the last one; numbers have 4 bytes, the low one first. A bucket holds records, `\\n<key>\\t<value>` each,
and a last `\\n`::

    /                node 0, the root          <node>|<ends here>|<and all that follows>|<what is below>|<the page for what is missing>
    <node>/<text>    the node one segment on   lists are r<number> (redirects) and h<number> (headers), with commas
    <node>:          the node for any segment  below are: l literal ones, a any, x endings
    <node>*<ending>  a list: what follows, if it ends so
    r<number>        a redirect as JSON        s status, f force, t texts and names in turns, n places of names, w where the rest begins,
                                               q query, e elsewhere
    h<number>        headers                   names and values in turns, U+001F between them, which no header holds

A path is met by at most one node for each arrangement of `:name` among its segments, and there are 16 arrangements at most; so looking
for it takes time linear in its length, whatever the rules are.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

from sitewright.domain.page_patterns import Pattern, check_headers, check_redirect, parts_of, together
from sitewright.domain.pages import PageRules, RedirectRule
from sitewright.errors import InvalidValueError

MAGIC = b"SWR1"
HEAD_BYTES = 16
BETWEEN = "\x1f"
_SEEDS = 8
MOST_IN_A_BUCKET = 8 * 1024
"""Bytes beside the longest record: whoever wrote rules that meet in one place gets another seed."""
_KEPT = "!'()*"
"""What encodeURIComponent leaves as it is, besides letters, digits and `_.-~`."""

R = TypeVar("R")


@dataclass
class _Node:
    number: int
    ends: list[str] = field(default_factory=list)
    rests: list[str] = field(default_factory=list)
    endings: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    below: dict[str, _Node] = field(default_factory=dict)


def compiled(rules: PageRules) -> bytes:
    """The file. What is not allowed is left out: the builder has said so to whoever wrote it."""
    return _file(rules) if not together(rules) else _file(PageRules(not_found=rules.not_found))


def _allowed(check: Callable[[R], Pattern], rule: R) -> Pattern | None:
    """The rule's pattern, None when the rule is not allowed."""
    try:
        return check(rule)
    except InvalidValueError:
        return None


def _file(rules: PageRules) -> bytes:
    records: dict[str, str] = {}
    root = _Node(0)
    nodes = [root]
    for number, redirect in enumerate(rules.redirects):
        pattern = _allowed(check_redirect, redirect)
        if pattern is not None:
            _place(nodes, pattern, f"r{number}")
            records[f"r{number}"] = _redirect(redirect, pattern)
    for number, header in enumerate(rules.headers):
        pattern = _allowed(check_headers, header)
        if pattern is not None:
            _place(nodes, pattern, f"h{number}")
            records[f"h{number}"] = BETWEEN.join(text for pair in header.headers for text in pair)
    records["/"] = _spelt(root) + "|" + _encoded(rules.not_found)
    for node in nodes:
        for text, child in node.below.items():
            records[f"{node.number}:" if text == ":" else f"{node.number}/{_encoded(text[1:])}"] = _spelt(child)
        for ending, found in node.endings.items():
            records[f"{node.number}*{ending}"] = ",".join(found)
    return _packed(records)


def _place(nodes: list[_Node], pattern: Pattern, what: str) -> None:
    node = nodes[0]
    for text in pattern.shape:
        key = text if text == ":" else f"={text}"
        if key not in node.below:
            node.below[key] = _Node(len(nodes))
            nodes.append(node.below[key])
        node = node.below[key]
    found = node.rests if pattern.rest == "*" else node.endings[pattern.rest] if pattern.rest else node.ends
    found.append(what)


def _spelt(node: _Node) -> str:
    literal = any(text != ":" for text in node.below)
    has = ("l" if literal else "") + ("a" if ":" in node.below else "") + ("x" if node.endings else "")
    return f"{node.number}|{','.join(node.ends)}|{','.join(node.rests)}|{has}"


def _redirect(rule: RedirectRule, pattern: Pattern) -> str:
    return _json(
        {
            "s": rule.status,
            "f": rule.force,
            "t": list(parts_of(rule.target)),
            "n": pattern.places,
            "w": len(pattern.segments) if pattern.rest else -1,
            "q": [list(pair) for pair in rule.query],
            "e": not rule.target.startswith("/"),
        }
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _encoded(text: str) -> str:
    """As JavaScript's encodeURIComponent does."""
    return quote(text, safe=_KEPT)


def _hash(key: str, seed: int) -> int:
    """FNV-1a, of a key that is ASCII only."""
    value = 2166136261 ^ seed
    for byte in key.encode("ascii"):
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


def _packed(records: dict[str, str]) -> bytes:
    """The file's bytes; the seed is one with which no bucket is long."""
    buckets = 1 << max(0, len(records) - 1).bit_length()
    lines = {key: f"\n{key}\t{value}".encode() for key, value in records.items()}
    longest = max(map(len, lines.values()))
    first = int.from_bytes(hashlib.sha256(b"".join(lines.values())).digest()[:4], "little")
    for turn in range(_SEEDS):
        seed = (first + turn) & 0xFFFFFFFF
        dealt = _dealt(lines, seed, buckets)
        if max(map(len, dealt)) <= longest + MOST_IN_A_BUCKET:
            break
    starts, at = [], HEAD_BYTES + 4 * (buckets + 1)
    for bucket in dealt:
        starts.append(at)
        at += len(bucket)
    head = MAGIC + struct.pack("<III", seed, buckets, at)
    return head + struct.pack(f"<{buckets + 1}I", *starts, at) + b"".join(dealt)


def _dealt(lines: dict[str, bytes], seed: int, buckets: int) -> list[bytes]:
    dealt: list[list[bytes]] = [[] for _ in range(buckets)]
    for key, line in lines.items():
        dealt[_hash(key, seed) & (buckets - 1)].append(line)
    return [b"".join((*bucket, b"\n")) if bucket else b"" for bucket in dealt]
