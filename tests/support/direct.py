"""Addresses of direct reply-to, as a broker makes them and as somebody might make them up."""

from base64 import b64encode

PREFIX = "amq.rabbitmq.reply-to."
# Made by RabbitMQ 3.10.
REAL = f"{PREFIX}g1h2AA5yZXBseUA1MzA4MDI0NAAAA1oAAAAAawsr5A==.vGLjtV0dalmNLGakLfAMQQ=="
KEY = b64encode(b"sixteen bytes...").decode()


def process(node: str, *, head: bytes = b"\x83Xv", length: int | None = None, rest: bytes = bytes(12)) -> bytes:
    """A process in Erlang's external term format."""
    name = node.encode()
    return head + (len(name) if length is None else length).to_bytes(2, "big") + name + rest


def address(node: str = "reply@7", key: str = KEY) -> str:
    return f"{PREFIX}{b64encode(process(node)).decode()}.{key}"


def address_of(process_: bytes) -> str:
    return f"{PREFIX}{b64encode(process_).decode()}.{KEY}"
