"""A site without code: it has a name, an address and a channel that follows a branch, and waits."""

from sitewright.manager.sites.models import Channel


def test_a_site_without_a_source_waits_for_its_code(cast, api):
    ask = api(cast.alice)
    made = ask("POST", "/sites", {"name": "orchard", "team": "choir"})
    assert made.status_code == 202, made.content
    assert made.json()["operation"] is None
    assert ask("GET", "/sites/orchard").json()["state"] == "new"
    assert Channel.objects.get(site__name="orchard").branch == "main"
    assert "waits for its code" in ask("GET", "/sites/orchard/events").json()["items"][0]["text"]
    assert ask("POST", "/sites", {"name": "orchard", "team": "choir"}).status_code == 409
