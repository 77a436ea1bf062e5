"""The people of every test: Alice owns, Bob is a teammate, Vera may look, Charlie must never see anything, Ada administers."""

from __future__ import annotations

from dataclasses import dataclass

from sitewright.domain.states import Role
from sitewright.manager.accounts.models import User
from sitewright.manager.accounts.services import make_token
from sitewright.manager.teams.models import Team
from sitewright.manager.teams.services import add_member, create_team, ensure_personal_team


@dataclass(frozen=True)
class Cast:
    """Everybody, and the team `choir` that Alice owns; Bob develops in it, Vera views it."""

    alice: User
    bob: User
    vera: User
    charlie: User
    ada: User
    choir: Team

    def token(self, user: User) -> str:
        """A fresh API token's text."""
        return make_token(user, "test")[1]


PASSWORD = "correct horse battery staple"


def assemble() -> Cast:
    """Make everybody."""
    alice, bob, vera, charlie = (User.objects.create_user(f"{name}@example.org", PASSWORD) for name in ("alice", "bob", "vera", "charlie"))
    ada = User.objects.create_superuser("ada@example.org", PASSWORD)
    for user in (alice, bob, vera, charlie, ada):
        ensure_personal_team(user)
    choir = create_team("choir", alice)
    add_member(choir, bob, Role.DEVELOPER)
    add_member(choir, vera, Role.VIEWER)
    return Cast(alice, bob, vera, charlie, ada, choir)
