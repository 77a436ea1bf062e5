"""The account page: who one is, and tokens. And the link that lets somebody in once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from sitewright.errors import NotFoundError, SitewrightError
from sitewright.manager.accounts import services
from sitewright.manager.accounts.access import keys_for, tokens_for
from sitewright.manager.accounts.ssh_keys import add_key, delete_key
from sitewright.manager.api.auth import address_of
from sitewright.manager.audit.services import trail
from sitewright.manager.pages.view import page, person, say, status_of, telling
from sitewright.manager.teams.access import memberships_for

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@page
@require_GET
def account(request: HttpRequest) -> HttpResponse:
    """Who one is, and one's tokens."""
    return _account(request)


def _account(request: HttpRequest, fresh_token: str = "", **more: Any) -> HttpResponse:
    user = person(request)
    tokens = tokens_for(user).order_by("-created_at")
    context = {
        "tokens": tokens,
        "keys": keys_for(user),
        "memberships": memberships_for(user),
        "fresh_token": fresh_token,
        "ssh_port": settings.PLATFORM.ssh_port,
        "ssh_host": settings.PLATFORM.ssh_host,
        **more,
    }
    return render(request, "accounts/account.html", context, status=400 if "key_error" in more else 200)


@page
@never_cache
@require_POST
def create_token(request: HttpRequest) -> HttpResponse:
    """A new token, shown in the answer and never again."""
    _, text = services.make_token(person(request), request.POST.get("label", "").strip())
    return _account(request, text)


@page
@require_POST
def revoke_token(request: HttpRequest, prefix: str) -> HttpResponse:
    """Lock out whatever uses it."""
    with telling(request):
        services.revoke_token(person(request), prefix)
        say(request, "The token is revoked.")
    return redirect("accounts:account")


@page
@require_POST
def create_key(request: HttpRequest) -> HttpResponse:
    """Whoever has the secret half of that key comes in by SSH as this person."""
    text, label = request.POST.get("public_key", ""), request.POST.get("label", "")
    try:
        row = add_key(person(request), text, label)
    except SitewrightError as error:
        kept = "" if "PRIVATE" in text else text
        return _account(request, key_error=error, key_text=kept, key_label=label)
    trail(person(request), "key.added", row.fingerprint, row.label, address=address_of(request))
    say(request, f"The key “{row.label}” is added.\ngit and ssh know you by it from now on.")
    return redirect("accounts:account")


@page
@require_POST
def remove_key(request: HttpRequest, key_id: int) -> HttpResponse:
    """It lets nobody in any more."""
    with telling(request):
        row = delete_key(person(request), key_id)
        trail(person(request), "key.deleted", row.fingerprint, row.label, address=address_of(request))
        say(request, f"The key “{row.label}” is removed.")
    return redirect("accounts:account")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def link(request: HttpRequest, token: str) -> HttpResponse:
    """Opening the link only shows a button; its POST uses the link, so that no mail scanner or preview burns it."""
    try:
        if request.method == "POST":
            user = services.use_link(token)
            login(request, user, backend=BACKEND)
            if not user.has_usable_password():
                say(request, "You are signed in.\nSet a password on the account page, so that you can come back without a link.")
            return redirect("sites:home")
        if not services.peek_link(token):
            raise NotFoundError(
                "This link does not work any more.",
                details="A sign-in link works once, for an hour.",
                resolution="Run `sitewright up` again for a new one, or sign in with your password.",
            )
    except SitewrightError as error:
        status = status_of(error)
        return render(request, "error.html", {"status": status, "error": error}, status=status)
    return render(request, "accounts/link.html")
