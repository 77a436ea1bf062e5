"""A page for people about the API: what there is, made from the same description that programs read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from sitewright.manager.api.wiring import DESCRIPTION, api
from sitewright.manager.pages.view import page

PREFIX = "/api/v1"
METHODS = ("get", "post", "put", "patch", "delete")


@page
@require_GET
def described(request: HttpRequest) -> HttpResponse:
    """Every operation of the API, by subject."""
    paths = api().get_openapi_schema(path_prefix=f"{PREFIX}/")["paths"]
    context = {"introduction": DESCRIPTION.replace("`", "").strip().split("\n\n"), "groups": groups(paths), "prefix": PREFIX}
    return render(request, "api/described.html", context)


def groups(paths: dict[str, Any]) -> list[dict[str, Any]]:
    """The description's `paths` as rows by tag, in the order in which they stand there."""
    found: dict[str, list[dict[str, str]]] = {}
    for tag, row in _rows(paths):
        found.setdefault(tag, []).append(row)
    return [{"title": tag.capitalize(), "rows": rows} for tag, rows in sorted(found.items())]


def _rows(paths: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for path, methods in paths.items():
        for method in METHODS:
            if method not in methods:
                continue
            one = methods[method]
            query = "&".join(f"{given['name']}=" for given in one.get("parameters", ()) if given["in"] == "query")
            row = {
                "method": method.upper(),
                "path": path.removeprefix(PREFIX),
                "query": f"?{query}" if query else "",
                "says": one.get("description", "") or one.get("summary", ""),
            }
            yield (one.get("tags") or ["other"])[0], row
