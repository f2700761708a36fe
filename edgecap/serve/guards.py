"""Guards: who may what. Nothing is answered but by a route's guard."""

from enum import Enum
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from .refusal import Refusal

LONGEST_BODY = 64 * 1024


class Guard(Enum):
    """Whom a route answers."""

    OPEN = "everybody"
    READER = "whoever may read the captions"
    OWNER = "whoever may change things"


class Who(NamedTuple):
    """Who asks. id: the device's, or what stands for it."""

    id: str
    name: str
    is_owner: bool


THIS_MACHINE = Who("this-machine", "this computer", is_owner=True)


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def host_of(headers: Headers) -> str:
    return urlsplit(f"//{headers.get('host', '')}").hostname or ""


def who(connection: HTTPConnection) -> Who | None:
    client = connection.client.host if connection.client else ""
    if is_loopback(client) and is_loopback(host_of(connection.headers)):
        return THIS_MACHINE
    return None


def check(guard: Guard, connection: HTTPConnection) -> Who | None:
    """Who asks. Raises Refusal where the guard does not let it through."""
    asking = who(connection)
    if guard is Guard.OPEN:
        return asking
    if asking is None:
        raise Refusal(401, "this device may not read here", fix="pair it, or log in at /login")
    if guard is Guard.OWNER and not asking.is_owner:
        raise Refusal(403, "this device may only read", fix="log in with the passphrase")
    return asking
