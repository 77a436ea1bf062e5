"""What the node is asked to build: for which team and at what weight, which values are secret, whose code it is."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from sitewright.bus.messages import TemplateSource
from sitewright.domain.states import Mode
from sitewright.manager.keys import encrypt
from sitewright.manager.releases.services import request_of, start_build
from sitewright.manager.repositories.models import PullRequest
from sitewright.manager.sites.models import Channel, EnvVar
from sitewright.manager.teams.models import Team

SOURCE = TemplateSource(name="static")


def asked(site):
    channel = Channel.objects.select_related("site__team").get(site=site)
    with_source = SOURCE.model_dump(mode="json")
    return request_of(start_build(channel, with_source, None), SOURCE, Mode.RELEASED)


def test_a_build_is_its_teams_and_weighs_what_administrators_say(cast, api, guestbook):
    assert (asked(guestbook).team_id, asked(guestbook).weight) == (cast.choir.id, 100)
    changed = api(cast.ada)("PATCH", "/teams/choir", {"build_weight": 300})
    assert (changed.status_code, changed.json()["build_weight"]) == (200, 300)
    assert asked(guestbook).weight == 300


@pytest.mark.parametrize("weight", [0, 1001, "much"])
def test_a_weight_out_of_bounds_is_refused(cast, api, weight):
    assert api(cast.ada)("PATCH", "/teams/choir", {"build_weight": weight}).status_code == 422


def test_an_owner_cannot_weigh_the_teams_builds(cast, api):
    answer = api(cast.alice)("PATCH", "/teams/choir", {"build_weight": 1000})
    assert answer.status_code == 403
    assert Team.objects.get(name="choir").build_weight == 100


def test_the_database_keeps_weights_within_bounds(cast):
    with pytest.raises(IntegrityError), transaction.atomic():
        Team.objects.filter(name="choir").update(build_weight=0)


def test_secret_variables_are_named_to_the_node(guestbook):
    channel = Channel.objects.get(site=guestbook)
    for name, value, secret in (("TOKEN", "s3cr3t-t0ken", True), ("COLOUR", "green", False)):
        EnvVar.objects.create(channel=channel, name=name, sealed=encrypt(settings.ENCRYPTION_KEYS, value), secret=secret)
    request = asked(guestbook)
    assert request.secrets == ("TOKEN",)
    assert dict(request.env) == {"TOKEN": "s3cr3t-t0ken", "COLOUR": "green"}


def test_code_of_a_fork_is_called_foreign(cast, guestbook):
    assert not asked(guestbook).foreign
    channel = Channel.objects.get(site=guestbook)
    PullRequest.objects.create(site=guestbook, number=7, branch="fix", head="a" * 40, fork=True, channel=channel)
    assert asked(guestbook).foreign
