"""Which addresses of direct reply-to a broker has made, and whose word is taken for a node that nobody has reached."""

import pytest

from shared.rabbit.direct import DISTRUST_S, HASH_MAX, NODES_MAX, Nodes, is_direct, node_of
from tests.support.direct import KEY, PREFIX, REAL, address, address_of, process


def test_a_brokers_own_address_names_its_node() -> None:
    """One that RabbitMQ made, and the least and the largest hash of a node's name."""
    assert node_of(REAL) == "reply@53080244"
    assert [node_of(address(f"reply@{number}")) for number in (0, HASH_MAX)] == ["reply@0", f"reply@{HASH_MAX}"]


NOT_MADE = {
    "nothing": "",
    "a queue": "reply.clinic.answers",
    "no token": PREFIX,
    "the word alone": PREFIX.rstrip("."),
    "no key": REAL.rpartition(".")[0],
    "an empty key": REAL.rpartition(".")[0] + ".",
    "a short key": address(key="Zm9v"),
    "two keys": f"{REAL}.{KEY}",
    "no base64": f"{PREFIX}g1h2!.{KEY}",
    "base64 cut off": f"{PREFIX}g1h2A.{KEY}",
    "a line more": f"{REAL}\n",
    "something before it": f" {REAL}",
    "another node's name": address("rabbit@53080244"),
    "a name that is no number": address("reply@seven"),
    "no number": address("reply@"),
    "a number in other digits": address("reply@٧"),
    "a number written otherwise": address("reply@07"),
    "a number below nothing": address("reply@-7"),
    "a number that is no hash": address(f"reply@{HASH_MAX + 1}"),
    "a name as long as may be": address("reply@" + "9" * 100),
    "a length that is another": address_of(process("reply@7", length=6)),
    "a process cut off": address_of(process("reply@7", rest=bytes(11))),
    "a process and more": address_of(process("reply@7", rest=bytes(13))),
    "an old kind of process": address_of(process("reply@7", head=b"\x83gd")),
    "a list of atoms": address_of(b"\x83l\x00\x00\x00\x01d\x00\x03xyzj"),
}


@pytest.mark.parametrize("made_up", NOT_MADE.values(), ids=NOT_MADE)
def test_what_no_broker_has_made_names_none(made_up: str) -> None:
    """Nothing of it is ever looked up."""
    assert node_of(made_up) is None


def test_what_begins_like_one_is_no_queue() -> None:
    """The broker takes it apart, whatever follows."""
    assert [is_direct(each) for each in (REAL, PREFIX, PREFIX.rstrip("."), "reply.clinic.answers")] == [
        True,
        True,
        True,
        False,
    ]


def test_a_sender_makes_up_so_many_nodes() -> None:
    """As many as no cluster has; those that an answer has reached do not count, and another sender has a count of its own."""
    nodes = Nodes()
    nodes.reached("ours")

    allowed = [nodes.may_name("clinic", f"reply@{number}", 0) for number in range(NODES_MAX + 5)]

    assert allowed == [True] * NODES_MAX + [False] * 5
    assert nodes.may_name("clinic", "reply@0", 0)
    assert nodes.may_name("clinic", "ours", 0)
    assert nodes.may_name("other", "reply@20", 0)


def test_so_do_those_whom_nobody_knows() -> None:
    """Where senders are not authenticated all are one."""
    nodes = Nodes()

    assert sum(nodes.may_name(None, f"reply@{number}", 0) for number in range(1_000)) == NODES_MAX


def test_who_broke_the_channel_names_no_other_for_a_while() -> None:
    """What has been reached it may go on naming, and others are not held to account."""
    nodes = Nodes()
    nodes.reached("ours")

    nodes.broke("reply@1", ["clinic"], now=100)

    assert not nodes.may_name("clinic", "reply@2", 100 + DISTRUST_S - 0.1)
    assert nodes.may_name("clinic", "ours", 100)
    assert nodes.may_name("other", "reply@2", 100)
    assert nodes.may_name("clinic", "reply@2", 100 + DISTRUST_S)


def test_nobody_in_particular_is_not_distrusted() -> None:
    """It would be everybody."""
    nodes = Nodes()

    nodes.broke("reply@1", [None], now=100)

    assert nodes.may_name(None, "reply@2", 100)


def test_a_node_that_broke_the_channel_is_reached_no_more() -> None:
    """A broker that has left its cluster, alone or among others."""
    nodes = Nodes()
    for node in ("one", "two", "three"):
        nodes.reached(node)

    nodes.broke("one", ["clinic"], now=0)
    nodes.doubt(["two"])

    assert [nodes.is_reached(node) for node in ("one", "two", "three")] == [False, False, True]
