"""Which variables make Node take the engine's socket."""

import pytest

from sitewright.engines.environment import ADOPT_SCRIPT, adopting

OURS = f"--require={ADOPT_SCRIPT}"


@pytest.mark.parametrize(
    ("shown", "options"),
    [
        ((), OURS),
        ((("NODE_OPTIONS", ""),), OURS),
        ((("NODE_OPTIONS", "--use-openssl-ca"), ("HOME", "/data")), f"--use-openssl-ca {OURS}"),
        ((("NODE_OPTIONS", "--use-openssl-ca"), ("NODE_OPTIONS", "--no-warnings --title=a")), f"--no-warnings --title=a {OURS}"),
    ],
)
def test_plain_options_are_kept_and_ours_come_last(shown, options):
    assert adopting(shown) == (("NODE_OPTIONS", options), ("SITEWRIGHT_LISTEN", "3"))


@pytest.mark.parametrize("options", ['--title="a b"', "--title=a\\ b", "--a\n--b", "--x=$(id)"])
def test_options_that_are_no_plain_words_are_left_alone(options):
    assert adopting((("NODE_OPTIONS", options),)) is None
