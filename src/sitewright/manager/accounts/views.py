"""The account page: who one is, and tokens. And the link that lets somebody in once."""

from __future__ import annotations

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from sitewright.errors import NotFoundError, SitewrightError
from sitewright.manager.accounts import services
from sitewright.manager.accounts.access import tokens_for
from sitewright.manager.pages.view import page, person, say, status_of, telling
from sitewright.manager.teams.access import memberships_for

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@page
@require_GET
def account(request: HttpRequest) -> HttpResponse:
    """Who one is, and one's tokens."""
    return _account(request)


def _account(request: HttpRequest, fresh_token: str = "") -> HttpResponse:
    user = person(request)
    tokens = tokens_for(user).order_by("-created_at")
    context = {"tokens": tokens, "memberships": memberships_for(user), "fresh_token": fresh_token}
    return render(request, "accounts/account.html", context)


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
