"""The page about states says what the code says."""

import re
from pathlib import Path

from sitewright.domain.states import INSTANCE_TRANSITIONS

PAGE = Path(__file__).parents[2] / "docs/explanation/states.md"


def table_of(text):
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 4:
            found[cells[0].strip("`")] = frozenset(re.findall(r"`([a-z]+)`", cells[2]))
    return found


def test_the_page_shows_the_table_of_the_code():
    assert table_of(PAGE.read_text()) == {
        state.value: frozenset(n.value for n in following) for state, following in INSTANCE_TRANSITIONS.items()
    }
