"""The API put together. ``python -m sitewright.manager.api.export`` prints its OpenAPI description."""

from __future__ import annotations

from functools import cache

from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from sitewright import __version__
from sitewright.errors import SitewrightError
from sitewright.manager.accounts.api import router as accounts
from sitewright.manager.accounts.api_keys import router as keys
from sitewright.manager.api import problems
from sitewright.manager.api.auth import Bearer, Session
from sitewright.manager.api.status import router as status
from sitewright.manager.operations.api import router as operations
from sitewright.manager.releases.api import router as releases
from sitewright.manager.releases.api_builds import router as builds
from sitewright.manager.releases.api_builds import sites_router as site_builds
from sitewright.manager.repositories.api import router as repositories
from sitewright.manager.sites.api.channels import router as channels
from sitewright.manager.sites.api.code import router as code
from sitewright.manager.sites.api.config import checks as config_checks
from sitewright.manager.sites.api.config import router as config
from sitewright.manager.sites.api.env import router as env
from sitewright.manager.sites.api.files import router as files
from sitewright.manager.sites.api.lists import router as lists
from sitewright.manager.sites.api.logs import router as logs
from sitewright.manager.sites.api.running import router as running
from sitewright.manager.sites.api.sites import router as sites
from sitewright.manager.sites.api.templates import router as templates
from sitewright.manager.teams.api import router as teams
from sitewright.manager.teams.api_plans import router as plans

DESCRIPTION = """Everything that the pages and the command line do.

Errors are `application/problem+json`: `title` says what happened, `detail` why, `resolution` what to do next, `code` is constant.
Lists are `{items, next}`; give `next` back as `cursor`. What lasts longer than a request answers 202 with an `operation` to watch.
A POST with an `Idempotency-Key` that was sent before answers with the operation of then.
"""


def build() -> NinjaAPI:
    """The API with all its routers and error answers."""
    api = NinjaAPI(
        title="Sitewright", version=__version__, description=DESCRIPTION, auth=[Bearer(), Session()], docs_url=None, urls_namespace="api"
    )
    api.add_router("", accounts)
    api.add_router("/keys", keys)
    api.add_router("", status)
    api.add_router("", releases)
    api.add_router("", builds)
    api.add_router("/teams", teams)
    api.add_router("/operations", operations)
    api.add_router("/plans", plans)
    api.add_router("/templates", templates)
    api.add_router("/config", config_checks)
    for router in (sites, channels, code, site_builds, running, env, lists, logs, files, config, repositories):
        api.add_router("/sites", router)
    _answer_errors(api)
    return api


@cache
def api() -> NinjaAPI:
    """The one API of this process."""
    return build()


def _answer_errors(api: NinjaAPI) -> None:
    @api.exception_handler(SitewrightError)
    def known(_request: HttpRequest, error: SitewrightError) -> HttpResponse:
        return problems.problem(error)

    @api.exception_handler(AuthenticationError)
    def nobody(_request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
        response = problems.standard(401)
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    @api.exception_handler(ValidationError)
    def invalid(_request: HttpRequest, error: ValidationError) -> HttpResponse:
        return problems.answer(422, _in_words(error))

    @api.exception_handler(HttpError)
    def http(_request: HttpRequest, error: HttpError) -> HttpResponse:
        return problems.standard(error.status_code)

    @api.exception_handler(Http404)
    def missing(_request: HttpRequest, _error: Http404) -> HttpResponse:
        return problems.standard(404)

    @api.exception_handler(SuspiciousOperation)
    @api.exception_handler(BadRequest)
    def suspicious(_request: HttpRequest, _error: Exception) -> HttpResponse:
        return problems.standard(400)

    @api.exception_handler(Exception)
    def surprise(request: HttpRequest, error: Exception) -> HttpResponse:
        return problems.unexpected(request, error)


def _in_words(error: ValidationError) -> dict[str, object]:
    """Which fields are wrong and why; never the values, which may be secret."""
    fields = [{"field": ".".join(str(part) for part in one["loc"][1:]) or "body", "message": str(one["msg"])} for one in error.errors]
    first = fields[0] if fields else {"field": "body", "message": "It is not understood."}
    return {
        "code": "invalid",
        "title": f"The field “{first['field']}” is wrong.",
        "detail": first["message"],
        "resolution": "Check it against the API's description.",
        "fields": fields,
    }
