"""Connections, deliveries of web hooks, pull requests, reports back. Every secret is sealed."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.utils import timezone

from sitewright.manager.columns import id_column, one_of


class Vendor(StrEnum):
    """Whose scheme the web hooks and the interface follow."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"
    """Forgejo, too."""
    PLAIN = "plain"
    """Any git address, without web hooks of a known form."""


class Outcome(StrEnum):
    """What became of a delivery."""

    RECEIVED = "received"
    """It is being worked on."""
    ACTED = "acted"
    IGNORED = "ignored"
    FAILED = "failed"


class PullState(StrEnum):
    """Of a pull (or merge) request."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


class CommitState(StrEnum):
    """What is reported of a commit; each vendor has words of its own for it."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


class Connection(models.Model):
    """The repository that a site takes its code from. ``hook_id`` is the unguessable part of the web hook's address."""

    id = id_column()
    site = models.OneToOneField("sites.Site", on_delete=models.CASCADE, related_name="connection")
    vendor = models.CharField(max_length=16, default=Vendor.PLAIN.value)
    url = models.CharField(max_length=500)
    """What git fetches: https://… or ssh://…; never with a password in it."""
    api_url = models.CharField(max_length=500, blank=True, default="")
    project = models.CharField(max_length=300, blank=True, default="")
    """`owner/name` as the vendor writes it."""
    sealed_token = models.TextField(blank=True, default="")
    sealed_deploy_key = models.TextField(blank=True, default="")
    deploy_key = models.TextField(blank=True, default="")
    """The public half, to be pasted over there."""
    known_hosts = models.TextField(blank=True, default="")
    hook_id = models.CharField(max_length=32, unique=True)
    sealed_hook_secret = models.TextField()
    reports = models.BooleanField(default=True)
    """Whether commit statuses and comments are sent back (needs a token)."""
    hook_made = models.BooleanField(default=False)
    """Whether we have made the web hook over there ourselves."""
    refs = models.JSONField(default=dict, blank=True)
    """Whole names → commits over there, as they were last acted upon."""
    fetched_at = models.DateTimeField(null=True, blank=True)
    look_at = models.DateTimeField(default=timezone.now, db_index=True)
    """When it is looked at again without being asked."""
    problem = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (one_of("vendor", Vendor, "connection_vendor"),)

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """One event that a web hook has brought. ``delivery`` is the vendor's id of it, or the body's digest: the same one acts once."""

    id = id_column()
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="deliveries")
    delivery = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, blank=True, default="")
    """SHA-256 of event and body: the same body acts once, whatever id it comes under; "" when it acts again on purpose."""
    event = models.CharField(max_length=60)
    summary = models.CharField(max_length=200, blank=True, default="")
    headers = models.JSONField(default=dict)
    """Without signatures and tokens."""
    sealed_body = models.TextField()
    outcome = models.CharField(max_length=16, default=Outcome.RECEIVED.value)
    detail = models.TextField(blank=True, default="")
    operation = models.ForeignKey("operations.Operation", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    again_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="again")
    received_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = (
            one_of("outcome", Outcome, "delivery_outcome"),
            models.UniqueConstraint(fields=["connection", "delivery"], name="delivered_once"),
            models.UniqueConstraint(fields=["connection", "digest"], condition=~models.Q(digest=""), name="one_body_acts_once"),
        )
        indexes = (
            models.Index(fields=["connection", "-received_at"], name="delivery_log"),
            models.Index(fields=["outcome", "received_at"], name="delivery_by_outcome"),
        )
        ordering = ("-received_at", "-id")

    def __str__(self) -> str:
        return f"{self.event} {self.delivery}"


class PullRequest(models.Model):
    """A pull request of the connected repository, or a pushed branch (``number`` None) that has a preview."""

    id = id_column()
    site = models.ForeignKey("sites.Site", on_delete=models.CASCADE, related_name="pull_requests")
    number = models.PositiveIntegerField(null=True, blank=True)
    branch = models.CharField(max_length=200)
    title = models.CharField(max_length=200, blank=True, default="")
    author = models.CharField(max_length=100, blank=True, default="")
    url = models.CharField(max_length=500, blank=True, default="")
    head = models.CharField(max_length=64)
    """The commit to be shown."""
    fork = models.BooleanField(default=False)
    """From a foreign repository: nothing of it is built before somebody allows it, and it never sees secrets."""
    allowed_head = models.CharField(max_length=64, blank=True, default="")
    """The commit that somebody with the role has allowed; a later one has to be allowed again."""
    allowed_by = models.ForeignKey("accounts.User", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=16, default=PullState.OPEN.value)
    channel = models.OneToOneField("sites.Channel", null=True, blank=True, on_delete=models.SET_NULL, related_name="pull_request")
    comment = models.CharField(max_length=40, blank=True, default="")
    """The vendor's id of the comment with the link, so that it is changed and not repeated."""
    changed_at = models.DateTimeField(default=timezone.now)
    told_at = models.FloatField(default=0.0)
    """The vendor's own time of the last event, in seconds since the epoch: an older one changes nothing."""
    waiting_told = models.CharField(max_length=64, blank=True, default="")
    """The commit of which the team has been told that it waits to be allowed."""

    class Meta:
        constraints = (
            one_of("state", PullState, "pull_state"),
            models.UniqueConstraint(fields=["site", "number"], condition=models.Q(number__isnull=False), name="one_row_a_pull_request"),
            models.UniqueConstraint(fields=["site", "branch"], condition=models.Q(number__isnull=True), name="one_row_a_branch"),
        )
        ordering = ("-changed_at",)

    def __str__(self) -> str:
        return f"#{self.number} {self.title}" if self.number is not None else self.branch


class Report(models.Model):
    """What has to be told over there about one commit: sent by a worker, again with back-off; only the newest a commit counts."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="status_reports")
    commit = models.CharField(max_length=64)
    context = models.CharField(max_length=60)
    """`sitewright/production`."""
    state = models.CharField(max_length=16)
    description = models.CharField(max_length=140, blank=True, default="")
    target = models.CharField(max_length=500, blank=True, default="")
    pull_request = models.ForeignKey(PullRequest, null=True, blank=True, on_delete=models.CASCADE, related_name="status_reports")
    operation = models.ForeignKey("operations.Operation", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    """Whose end is awaited; None when nothing more comes."""
    comment = models.TextField(blank=True, default="")
    """What the pull request's comment is to say; "" leaves it as it is."""
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)
    problem = models.TextField(blank=True, default="")

    class Meta:
        constraints = (
            one_of("state", CommitState, "report_state"),
            models.UniqueConstraint(fields=["connection", "commit", "context"], name="one_report_a_context"),
        )
        indexes = (models.Index(fields=["due_at"], condition=models.Q(sent_at=None), name="report_due"),)

    def __str__(self) -> str:
        return f"{self.context} {self.state}"
