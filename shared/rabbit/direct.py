"""Direct reply-to: what its addresses look like where a broker has made them, and which brokers they may name. Pure.

The broker writes into an address where its sender waits, a process on a node, and takes it apart again when somebody publishes to it.
It makes an atom of the node's name then, and those are for ever: some millions of names end it. 3.10 closes the connection over a node that it
does not know. A sender can write an address itself, so not every one is looked up.

Source: RabbitMQ 3.10 to 4.2, rabbit_direct_reply_to and rabbit_volatile_queue; Erlang's external term format, NEW_PID_EXT.
"""

import re
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field

DIRECT_REPLY = "amq.rabbitmq.reply-to"
# A process, in base64, and a key of sixteen bytes that only its owner and whoever is asked know.
ADDRESS = re.compile(rf"{re.escape(DIRECT_REPLY)}\.([A-Za-z0-9+/]+={{0,2}})\.[A-Za-z0-9+/]{{22}}==")
# A node's real name is hashed to a number below 2^27. Then come id, serial and creation, four bytes each.
PROCESS = re.compile(rb"\x83Xv\x00(?P<length>.)(?P<node>reply@(?:0|[1-9][0-9]{0,8})).{12}", re.DOTALL)
HASH_MAX = 2**27 - 1

# A cluster has three nodes, or five. Whoever names more that nobody has answered on yet makes them up.
NODES_MAX = 16
# For so long whoever named a node that broke the channel names no other.
DISTRUST_S = 15.0


def is_direct(address: str) -> bool:
    """Whether a broker would take an address for one of direct reply-to, and no queue's name."""
    return address.startswith(DIRECT_REPLY)


def node_of(address: str) -> str | None:
    """The node that an address names; None for whatever no broker has made."""
    if (parts := ADDRESS.fullmatch(address)) is None:
        return None
    try:
        process = PROCESS.fullmatch(b64decode(parts[1], validate=True))
    except ValueError:
        return None
    if process is None or process["length"][0] != len(process["node"]):
        return None
    node: str = process["node"].decode()
    return node if int(node.partition("@")[2]) <= HASH_MAX else None


@dataclass(slots=True)
class Nodes:
    """The nodes that answers have reached, and who may name another. `now` is in seconds of a clock that only goes on.

    A sender is a user of the broker; None where senders are not authenticated, so that nobody in particular is distrusted.
    """

    _reached: set[str] = field(default_factory=set)
    # Of each sender, the nodes that nobody had reached when it named them.
    _named: dict[str | None, set[str]] = field(default_factory=dict)
    _distrusted_until: dict[str, float] = field(default_factory=dict)

    def is_reached(self, node: str) -> bool:
        return node in self._reached

    def may_name(self, sender: str | None, node: str, now: float) -> bool:
        """Whether an answer may be sent to a node on this sender's word."""
        if node in self._reached:
            return True
        if sender is not None and now < self._distrusted_until.get(sender, now):
            return False
        named = self._named.setdefault(sender, set())
        if node not in named and len(named) >= NODES_MAX:
            return False
        named.add(node)
        return True

    def reached(self, node: str) -> None:
        """A message to this node was confirmed."""
        self._reached.add(node)

    def broke(self, node: str, senders: Iterable[str | None], now: float) -> None:
        """What was sent to this node alone broke the channel."""
        self._reached.discard(node)
        self._distrusted_until |= {sender: now + DISTRUST_S for sender in senders if sender is not None}

    def doubt(self, nodes: Iterable[str]) -> None:
        """Something that was sent to these nodes together broke the channel: one may have left its cluster."""
        self._reached.difference_update(nodes)
