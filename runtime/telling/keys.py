"""Keys for captions that leave the machine: CurveZMQ. Only known readers connect, and nobody listens in.

Key files are pyzmq's certificates, as zmq.auth.create_certificates(folder, "kitchen") writes them:
kitchen.key is public, kitchen.key_secret is not.
"""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import zmq
from zmq.auth import load_certificate, load_certificates

from ..errors import ConfigError, InputMissingError
from ..paths import check_readable, status

if TYPE_CHECKING:
    from zmq.auth.thread import ThreadAuthenticator

DOMAIN = "captions"
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class ServerKeys(NamedTuple):
    """The room's own secret key file, and the folder with the public key file of each reader allowed."""

    secret: Path
    clients: Path


class ReaderKeys(NamedTuple):
    """The reader's own secret key file, and the room's public one."""

    secret: Path
    server: Path


class _Allowed:
    """A key added or removed counts from the next connection on. The files are read only when they changed:
    a crowd of strangers who knock costs no more than a look at the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: list[tuple[str, int, int]] | None = None
        self._keys: frozenset[bytes] = frozenset()

    def callback(self, _domain: str, key: bytes) -> bool:
        try:
            stats = [(path.name, path.stat()) for path in self._folder.glob("*.key")]
            found = sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
            if found != self._seen:
                self._keys, self._seen = frozenset(load_certificates(self._folder)), found
        except (OSError, ValueError):  # gone, or a file in it is damaged: nobody is let in by accident
            self._seen = None
            return False
        return key in self._keys


def admit(context: "zmq.Context[zmq.Socket[bytes]]", keys: ServerKeys) -> "ThreadAuthenticator":
    """Start the check of readers, before any socket is bound; `stop` it before the context ends."""
    from zmq.auth.thread import ThreadAuthenticator  # brings asyncio, which nobody else needs

    found = _looked_at(keys.clients)
    if found is None or not stat.S_ISDIR(found.st_mode):
        raise ConfigError(
            f"{keys.clients}: no such folder of readers' keys",
            why="without it nobody could connect",
            fix="make it, and put each reader's public .key file in",
        )
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    authenticator.configure_curve_callback(domain=DOMAIN, credentials_provider=_Allowed(keys.clients))
    return authenticator


def guard(socket: "zmq.Socket[bytes]", keys: ServerKeys) -> None:
    """Before bind: only readers that `admit` knows get through."""
    public, secret = _secret(keys.secret)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt_string(zmq.ZAP_DOMAIN, DOMAIN)


def introduce(socket: "zmq.Socket[bytes]", keys: ReaderKeys) -> None:
    """Before connect: say who we are, and whom we expect."""
    public, secret = _secret(keys.secret)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
    socket.setsockopt(zmq.CURVE_SERVERKEY, _load(keys.server)[0])


def _secret(path: Path) -> tuple[bytes, bytes]:
    public, secret = _load(path)
    if secret is None:
        raise ConfigError(f"{path} has no secret key", fix="name the .key_secret file")
    if path.stat().st_mode & OTHERS:
        raise ConfigError(
            f"{path} can be read by others",
            why="a secret key is its owner's alone",
            fix=f"run chmod 600 {path}",
        )
    return public, secret


def _looked_at(path: Path) -> os.stat_result | None:
    """What lies there. Raises ConfigError where this user may not know, or not read it."""
    try:
        check_readable(path)
        return status(path)
    except InputMissingError as closed:
        raise ConfigError(closed.what, why=closed.why, fix=closed.fix) from closed


def _load(path: Path) -> tuple[bytes, bytes | None]:
    _looked_at(path)
    try:
        return load_certificate(path)
    except (OSError, ValueError) as unreadable:
        raise ConfigError(
            f"{path} is no key file",
            why=(unreadable.strerror if isinstance(unreadable, OSError) else None) or str(unreadable),
            fix="make keys with zmq.auth.create_certificates (docs/wire.md)",
        ) from unreadable
