"""The repositories of a FakeNode, in memory: commits know their parent, branches lead to commits, a live folder has edits or none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sitewright.bus.base import Answerer
from sitewright.bus.messages import (
    Ack,
    BuildRequest,
    ChangesAnswer,
    ChangesQuery,
    CommitSource,
    Edits,
    EditsQuery,
    Message,
    Published,
    PublishEdits,
    Ref,
    RefMove,
    Refs,
    RepositoryFetch,
    RepositoryFetched,
    RepositoryQuery,
)
from sitewright.domain.git import BRANCHES, TAGS, Changes, Commit, FileChange
from sitewright.errors import ConflictError


@dataclass
class FakeRepository:
    """One for all sites: tests have one."""

    refs: dict[str, str] = field(default_factory=dict)
    """Whole names and commits."""
    commits: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Commit → its parent ("" for none) and its subject."""
    edits: tuple[tuple[str, str], ...] = ()
    moves: list[RefMove] = field(default_factory=list)
    remote: dict[str, str] = field(default_factory=dict)
    """What a connected repository has: whole names and commits."""
    remote_default: str = "main"
    fetches: list[RepositoryFetch] = field(default_factory=list)
    fetch_problem: str = ""
    records: bool = False
    """Whether builds keep uploads as commits."""

    def methods(self) -> tuple[tuple[str, type[Message], Answerer[Any]], ...]:
        """What it answers."""
        return (
            ("git.refs", RepositoryQuery, self._refs),
            ("git.changes", ChangesQuery, self._changes),
            ("git.move", RefMove, self._move),
            ("git.edits", EditsQuery, self._edits),
            ("git.publish", PublishEdits, self._publish),
            ("git.fetch", RepositoryFetch, self._fetch),
        )

    def commit(self, subject: str, parent: str = "") -> str:
        """A new commit; the same for the same words."""
        made = hashlib.sha1(f"{parent} {subject}".encode(), usedforsecurity=False).hexdigest()
        self.commits[made] = (parent, subject)
        return made

    def head(self, branch: str) -> str:
        """Where it leads; "" for nowhere."""
        return self.refs.get(BRANCHES + branch, "")

    def built(self, request: BuildRequest) -> str:
        """The commit that a build was of, or has made."""
        if isinstance(request.source, CommitSource):
            return request.source.commit
        if request.record is None or not self.records:
            return ""
        return self.commit(f"{request.record.message} {request.build_id}", request.record_parent)

    def _ancestors(self, commit: str) -> Iterator[str]:
        while commit:
            yield commit
            commit = self.commits.get(commit, ("", ""))[0]

    def _shown(self, commit: str) -> Commit:
        return Commit(commit, "Bob <bob@example.org>", 1_800_000_000.0, self.commits.get(commit, ("", "Unknown"))[1])

    async def _refs(self, _query: RepositoryQuery) -> Message:
        return Refs(refs=tuple(Ref(name=name, commit=self._shown(commit)) for name, commit in sorted(self.refs.items())), size_bytes=4096)

    async def _changes(self, query: ChangesQuery) -> Message:
        before = set(self._ancestors(query.since))
        found = tuple(self._shown(one) for one in self._ancestors(query.until) if one not in before)[: query.limit]
        files = tuple(FileChange(f"{one.id[:4]}.txt", "M", 2, 1) for one in found)
        return ChangesAnswer(changes=Changes(found, files))

    async def _move(self, move: RefMove) -> Message:
        for update in move.updates:
            if self.refs.get(update.name, "") != update.old:
                raise ConflictError(f"{update.name} was moved meanwhile.")
        for update in move.updates:
            self.refs[update.name] = update.new
            if not update.new:
                del self.refs[update.name]
        self.moves.append(move)
        return Ack()

    async def _fetch(self, asked: RepositoryFetch) -> Message:
        self.fetches.append(asked)
        if self.fetch_problem:
            return RepositoryFetched(problem=self.fetch_problem)
        wanted = {name for name in self.remote if name in asked.refs or (not asked.refs and name.startswith((BRANCHES, TAGS)))}
        return RepositoryFetched(refs={name: self.remote[name] for name in wanted}, default_branch=self.remote_default)

    async def _edits(self, _query: EditsQuery) -> Message:
        return Edits(files=self.edits)

    async def _publish(self, asked: PublishEdits) -> Message:
        if not self.edits:
            return Published(commit=asked.parent)
        if asked.branch and self.head(asked.branch) != asked.parent:
            raise ConflictError(f"The branch {asked.branch} was moved meanwhile.")
        commit = self.commit(asked.author.message, asked.parent)
        count = len(self.edits)
        if asked.branch:
            self.refs[BRANCHES + asked.branch] = commit
            self.edits = ()
        return Published(commit=commit, files=count)
