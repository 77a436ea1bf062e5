"""The gallery, over the API and on the page for a new site."""

from sitewright.builder.source import template_names


def test_every_template_is_offered_with_words_and_a_picture(cast, api):
    items = api(cast.charlie)("GET", "/templates").json()["items"]
    assert {item["name"] for item in items} == set(template_names())
    assert items[0]["name"] == "static"
    assert all(item["title"] and item["description"] and item["language"] for item in items)
    assert all(item["picture"].startswith("<svg") and "script" not in item["picture"] for item in items)
