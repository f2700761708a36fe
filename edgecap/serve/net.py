"""Net: what this machine is called, and by which addresses its neighbours reach it. Asks nobody."""

import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

SIOCGIFADDR = 0x8915
BRIDGES = ("docker", "br-", "veth", "virbr", "podman", "cni")
"""Interfaces behind which only this machine's own containers are."""
SUFFIXES = ("local", "lan", "home", "home.arpa", "internal", "fritz.box")
"""What home networks put behind a machine's name."""


def addresses() -> list[str]:
    """The IPv4 addresses of this machine but for loopback, the one that leads outside first."""
    found = [each for each in dict.fromkeys([*_outward(), *_of_interfaces()]) if not each.startswith("127.")]
    return [each for each in found if each != "0.0.0.0"]


def names() -> list[str]:
    """By which neighbours may call it."""
    own = socket.gethostname().lower()
    short = own.partition(".")[0]
    return list(dict.fromkeys([own, short, *(f"{short}.{suffix}" for suffix in SUFFIXES)]))


def _outward() -> Iterator[str]:
    """The address from which a packet to far away would leave. None is sent."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.connect(("192.0.2.1", 9))
        yield unused.getsockname()[0]


def _of_interfaces() -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            if name.startswith(BRIDGES):
                continue
            with suppress(OSError):  # it has none
                answer = fcntl.ioctl(asking, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                yield socket.inet_ntoa(answer[20:24])
