"""Sites, channels, variables (what is wanted); nodes and instances (what was reported). The two are separate rows on purpose."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from sitewright.domain.channel import PREVIEW_DAYS, PRODUCTION, ChannelKind, Previews
from sitewright.domain.desired import Strategy
from sitewright.domain.git import DEFAULT_BRANCH
from sitewright.domain.release import KEPT_RELEASES
from sitewright.domain.route import Affinity
from sitewright.domain.sleep import SleepStage
from sitewright.domain.states import InstanceState, Mode, Power, Role
from sitewright.manager.columns import id_column, one_of


class Serial(models.Model):
    """Counters that never go back, so that a deleted site's number (and thereby its uid) is never given again."""

    name = models.CharField(max_length=32, primary_key=True)
    last = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.last}"


class Node(models.Model):
    """A machine that runs an orchestrator, as it last spoke."""

    name = models.CharField(max_length=32, primary_key=True)
    version = models.CharField(max_length=32, blank=True, default="")
    engine = models.CharField(max_length=32, blank=True, default="")
    seen_at = models.DateTimeField(default=timezone.now)
    sequence = models.PositiveBigIntegerField(default=0)
    said_at = models.FloatField(default=0.0)
    """The node's own clock at its last heartbeat."""
    memory_total = models.BigIntegerField(default=0)
    memory_used = models.BigIntegerField(default=0)
    builds_running = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class Site(models.Model):
    """A named website or web app of a team. ``number`` is what its uid follows from."""

    id = id_column()
    number = models.PositiveBigIntegerField(unique=True, editable=False)
    name = models.CharField(max_length=40, unique=True)
    team = models.ForeignKey("teams.Team", on_delete=models.PROTECT, related_name="sites")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    default_branch = models.CharField(max_length=200, default=DEFAULT_BRANCH)
    previews = models.CharField(max_length=16, default=Previews.OFF.value)
    preview_days = models.PositiveIntegerField(default=PREVIEW_DAYS)
    keep_releases = models.PositiveIntegerField(default=KEPT_RELEASES)
    """How many releases of each channel can be returned to; what visitors get stays anyway."""

    class Meta:
        constraints = (one_of("previews", Previews, "site_previews"),)
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Channel(models.Model):
    """A named line of a site. What is wanted, and below it what its node last said.

    ``generation`` grows with every change of what is wanted, by compare-and-swap; 0 is nothing sent to the node yet.
    """

    id = id_column()
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="channels")
    name = models.CharField(max_length=20, default=PRODUCTION)
    kind = models.CharField(max_length=16, default=ChannelKind.PRODUCTION.value)
    branch = models.CharField(max_length=200, blank=True, default="")
    """A push to it deploys this channel; "" follows none."""
    commit = models.CharField(max_length=64, blank=True, default="")
    """Of the site's repository: what visitors get, or in live mode what was last published; "" when that is unknown."""
    data_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="data_shared_with")
    """The channel whose data folder it uses; None is its own."""
    protected = models.BooleanField(default=False)
    deploy_role = models.CharField(max_length=16, default=Role.DEVELOPER.value)
    """When protected: who may deploy, promote, roll back; and nobody forces a push."""
    frozen_until = models.DateTimeField(null=True, blank=True)
    """Nothing is deployed before then, except a rollback."""
    frozen_reason = models.CharField(max_length=200, blank=True, default="")
    frozen_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    expires_at = models.DateTimeField(null=True, blank=True)
    """Of a preview: when it is removed if nothing new comes."""
    mode = models.CharField(max_length=16, default=Mode.RELEASED.value)
    power = models.CharField(max_length=16, default=Power.ON.value)
    release = models.ForeignKey("releases.Release", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    scale = models.JSONField(default=dict, blank=True)
    """Process type → what differs from the plan: {"count", "memory_mb", "cpu_millicores"}, each only when the owner has said so."""
    freeze_after_seconds = models.FloatField(null=True, blank=True)
    stop_after_seconds = models.FloatField(null=True, blank=True)
    """None is the plan's; 0 is never, which only a plan that is always on allows."""
    affinity = models.CharField(max_length=16, default=Affinity.NONE.value)
    strategy = models.CharField(max_length=16, default=Strategy.ROLLING.value)
    max_surge = models.PositiveIntegerField(default=1)
    visits = models.JSONField(default=dict, blank=True)
    """{"connections", "requests_per_second", "body_mb"}, each only when the owner wants less than the plan allows."""
    canary_release = models.ForeignKey("releases.Release", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    canary_slots = models.PositiveIntegerField(default=0)
    wanted_memory_bytes = models.BigIntegerField(default=0)
    """What all its processes may take together; follows from release, scale and plan."""
    plan_stamp = models.CharField(max_length=40, blank=True, default="")
    """The plan and its revision that the present generation follows from."""
    generation = models.PositiveBigIntegerField(default=0)
    restart = models.PositiveIntegerField(default=0)
    release_counter = models.PositiveIntegerField(default=0)
    node = models.CharField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now)

    observed_generation = models.PositiveBigIntegerField(default=0)
    applied = models.PositiveBigIntegerField(default=0)
    problem = models.TextField(blank=True, default="")
    observed_at = models.DateTimeField(null=True, blank=True)
    sleep_stage = models.CharField(max_length=16, default=SleepStage.AWAKE.value)
    sleep_since = models.DateTimeField(null=True, blank=True)
    saved_bytes = models.BigIntegerField(default=0)
    last_request_at = models.DateTimeField(null=True, blank=True)
    canary_report = models.JSONField(null=True, blank=True)
    """An ActualCanary as JSON, as it was last told; the last one stays when the trial is over."""
    crons = models.JSONField(default=list, blank=True)
    """List of ActualCron as JSON."""

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["site", "name"], name="channel_name"),
            one_of("mode", Mode, "channel_mode"),
            one_of("power", Power, "channel_power"),
            one_of("affinity", Affinity, "channel_affinity"),
            one_of("strategy", Strategy, "channel_strategy"),
            one_of("sleep_stage", SleepStage, "channel_sleep_stage"),
            one_of("kind", ChannelKind, "channel_kind"),
            one_of("deploy_role", Role, "channel_deploy_role"),
            models.UniqueConstraint(fields=["site", "branch"], condition=~models.Q(branch=""), name="one_channel_a_branch"),
        )

    def __str__(self) -> str:
        return f"{self.site_id}/{self.name}"


class RemovedChannel(models.Model):
    """What a deleted channel was, so that a node which missed its removal can still be told; an unknown channel is never removed."""

    id = models.CharField(max_length=12, primary_key=True)
    site_id = models.CharField(max_length=12)
    site_name = models.CharField(max_length=40)
    number = models.PositiveBigIntegerField()
    name = models.CharField(max_length=20)
    generation = models.PositiveBigIntegerField()
    node = models.CharField(max_length=32)
    removed_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.site_name}/{self.name}"


class EnvVar(models.Model):
    """An environment variable of a channel. The value is encrypted whether secret or not; a secret one is never shown again."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="variables")
    name = models.CharField(max_length=128)
    sealed = models.TextField()
    secret = models.BooleanField(default=False)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["channel", "name"], name="variable_name"),)
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Instance(models.Model):
    """One running copy as its node last reported it."""

    id = models.CharField(max_length=64, primary_key=True)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="instances")
    process = models.CharField(max_length=20)
    release_id = models.CharField(max_length=12, blank=True, default="")
    state = models.CharField(max_length=16)
    since = models.DateTimeField()
    node = models.CharField(max_length=32)
    memory_bytes = models.BigIntegerField(default=0)
    cpu_seconds = models.FloatField(default=0.0)
    restarts = models.PositiveIntegerField(default=0)
    reason = models.TextField(blank=True, default="")
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (one_of("state", InstanceState, "instance_state"),)
        ordering = ("process", "id")

    def __str__(self) -> str:
        return f"{self.process} {self.id} ({self.state})"
