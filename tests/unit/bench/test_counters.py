"""What is made of PostgreSQL's counters."""

from bench.counters import Counters, rows


def counters(updates: int, hot_updates: int, autovacuums: int = 0, live: int = 0, dead: int = 0) -> Counters:
    return Counters(0, updates, hot_updates, autovacuums, live, dead)


def test_of_what_was_updated_meanwhile_is_told_what_touched_no_index() -> None:
    before, after = counters(100, 100), counters(300, 250, live=1_000, dead=20)

    assert rows(before, after) == {"hot_part": 0.75, "autovacuums": 0, "dead_part": 0.02}


def test_autovacuums_are_those_that_came_meanwhile() -> None:
    before, after = counters(100, 100, autovacuums=3), counters(101, 101, autovacuums=5, live=1)

    assert rows(before, after)["autovacuums"] == 2


def test_who_updates_nothing_is_told_nothing_of_rows() -> None:
    assert rows(counters(100, 100), counters(100, 100, autovacuums=1, live=1)) == {}
