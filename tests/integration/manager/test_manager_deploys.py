"""From asking for a site to its being served, and everything that can go wrong on the way."""

from __future__ import annotations


def test_a_created_site_is_built_and_served(cast, api, stage):
    body = {"name": "guestbook", "team": "choir", "source": {"kind": "template", "name": "flask"}}
    response = api(cast.alice)("POST", "/sites", body)
    assert response.status_code == 202
    answer = response.json()
    assert answer["site"]["state"] == "deploying"
    assert answer["operation"]["steps"][0]["title"] == "Reserve the name and the address"
    stage.play()
    site = api(cast.alice)("GET", "/sites/guestbook").json()
    assert site["state"] == "running"
    assert site["release"] == 1
    assert site["url"] == "http://guestbook.localhost:8000"
    operation = api(cast.alice)("GET", f"/operations/{answer['operation']['id']}").json()
    assert operation["state"] == "succeeded"
    assert {step["state"] for step in operation["steps"]} == {"done"}
