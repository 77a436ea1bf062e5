"""What a node was told is on disk, checked, and never older than before."""

from dataclasses import replace

import pytest

from sitewright.errors import InvalidValueError
from sitewright.orchestrator.desired import DesiredStore
from sitewright.testing.orchestra import CHANNEL_ID, channel, release


def stored(folder):
    store = DesiredStore(folder)
    store.load()
    return store


def test_what_was_put_is_there_after_a_restart(tmp_path):
    desired = replace(channel(3, release(1)), env=(("COLOUR", "blue"),))
    assert stored(tmp_path).put(desired)
    assert stored(tmp_path).get(CHANNEL_ID) == desired


def test_an_older_or_equal_generation_changes_nothing(tmp_path):
    store = stored(tmp_path)
    store.put(channel(3, release(1)))
    assert not store.put(channel(3, release(2)))
    assert not store.put(channel(2, release(2)))
    assert store.get(CHANNEL_ID) == channel(3, release(1))


@pytest.mark.parametrize("name", ["../../etc/cron", "", "a/b", "UPPER2222222"])
def test_an_id_that_could_be_a_path_is_refused(tmp_path, name):
    with pytest.raises(InvalidValueError):
        stored(tmp_path).put(replace(channel(1, None), channel_id=name))


def test_a_damaged_file_is_set_aside_and_named_until_it_is_put_again(tmp_path):
    stored(tmp_path).put(channel(1, release(1)))
    path = tmp_path / f"{CHANNEL_ID}.json"
    path.write_bytes(path.read_bytes().replace(b"guestbook", b"guestbooX"))
    store = stored(tmp_path)
    assert (store.get(CHANNEL_ID), store.damaged) == (None, {CHANNEL_ID})
    assert stored(tmp_path).damaged == {CHANNEL_ID}
    assert store.put(channel(1, release(1)))
    assert store.damaged == set()
    assert stored(tmp_path).damaged == set()


def test_a_comparison_names_what_lacks_is_too_old_and_is_in_excess(tmp_path):
    store = stored(tmp_path)
    store.put(channel(2, None))
    assert store.compare({CHANNEL_ID: 2}) == ((), ())
    assert store.compare({CHANNEL_ID: 3, "new222222222": 1}) == ((CHANNEL_ID, "new222222222"), ())
    assert store.compare({}) == ((), (CHANNEL_ID,))
    store.put(replace(channel(4, None), removed=True))
    assert store.compare({}) == ((), ())


def test_secrets_on_disk_are_for_root_only(tmp_path):
    stored(tmp_path).put(replace(channel(1, None), env=(("PASSWORD", "secret"),)))
    assert (tmp_path / f"{CHANNEL_ID}.json").stat().st_mode & 0o077 == 0


def test_a_document_that_is_not_decoded_any_more_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr("sitewright.orchestrator.desired.DECODED", 1)
    store = stored(tmp_path)
    other = replace(channel(1, release(2), site="blog"), channel_id="newsite22222")
    store.put(channel(1, release(1)))
    store.put(other)
    assert (store.get(CHANNEL_ID), store.get("newsite22222")) == (channel(1, release(1)), other)
    assert {desired.channel_id for desired in store.scan()} == {CHANNEL_ID, "newsite22222"} == set(store.ids())


def test_a_host_leads_to_the_channel_that_wants_it_now(tmp_path):
    store = stored(tmp_path)
    store.put(channel(1, None))
    assert store.channel_of("guestbook.localhost") == CHANNEL_ID
    store.put(channel(2, None, site="blog"))
    for known in (store, stored(tmp_path)):
        assert (known.channel_of("guestbook.localhost"), known.channel_of("blog.localhost")) == ("", CHANNEL_ID)
    store.forget(CHANNEL_ID)
    assert (store.channel_of("blog.localhost"), store.get(CHANNEL_ID), len(store.all())) == ("", None, 0)


def test_a_file_that_is_damaged_later_is_set_aside_then(tmp_path):
    stored(tmp_path).put(channel(1, release(1)))
    store = stored(tmp_path)
    (tmp_path / f"{CHANNEL_ID}.json").write_bytes(b"half of a")
    assert (store.get(CHANNEL_ID), store.damaged) == (None, {CHANNEL_ID})
