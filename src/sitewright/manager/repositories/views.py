"""POST /hooks/{hook_id}: where web hooks arrive. Nobody is signed in here; the signature is all that counts."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from sitewright.manager.api import problems
from sitewright.manager.repositories import bell
from sitewright.manager.repositories.receiving import LARGEST_BODY, NoHookError, TooManyDeliveriesError, receive


@csrf_exempt
@require_POST
def hook(request: HttpRequest, hook_id: str) -> HttpResponse:
    """202 as soon as it is kept, also when it was known; 401 for strangers, 413 for more than 5 MiB, 429 for more than 60 a minute."""
    try:
        body = request.read(LARGEST_BODY + 1)
    except UnreadablePostError:
        return problems.standard(400)
    if len(body) > LARGEST_BODY:
        return problems.standard(413)
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        kept = receive(hook_id, headers, body)
    except NoHookError as error:
        return problems.problem(error, 401)
    except TooManyDeliveriesError as error:
        response = problems.problem(error, 429)
        response.headers["Retry-After"] = "60"
        return response
    bell.ring()
    return JsonResponse({"delivery": kept.id if kept else None, "known": kept is None}, status=202)
