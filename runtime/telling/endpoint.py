"""Where the publisher may be reached: binding a ZeroMQ socket, and what can go wrong with it."""

import contextlib
import errno
import fcntl
import ipaddress
import os
import stat
from pathlib import Path

import zmq

from ..errors import ConfigError, InputMissingError, UnavailableError
from ..paths import status

GROUP_MAY_CONNECT = 0o660


def is_local(endpoint: str) -> bool:
    """Whether only this machine can reach it. A name other than localhost may resolve to anywhere."""
    scheme, _, address = endpoint.partition("://")
    if scheme == "ipc":
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(socket: "zmq.Socket[bytes]", endpoint: str, flag: str) -> int | None:
    """Bind; the file descriptor of the lock that an ipc:// path needs, which `release` takes back.

    flag: the option that sets this endpoint, for the messages. Raises UnavailableError if something
    else has it, ConfigError if no socket can ever be there.
    """
    if endpoint.startswith("ipc://"):
        return _bind_path(socket, endpoint, flag)
    if "[" in endpoint:
        socket.setsockopt(zmq.IPV6, 1)
    _bind(socket, endpoint, flag)
    return None


def release(endpoint: str, lock: int | None) -> None:
    """Remove the socket file that ZeroMQ leaves behind, then let the next one have the path."""
    if lock is not None:
        with contextlib.suppress(OSError):  # the folder has gone, or is no longer ours
            _path(endpoint).unlink(missing_ok=True)
        os.close(lock)


def _bind_path(socket: "zmq.Socket[bytes]", endpoint: str, flag: str) -> int | None:
    """A second bind would silently take the path from the first, and any file on it is deleted."""
    path = _path(endpoint)
    if path.name.startswith("@") and path.parent == Path():  # no file: the kernel's abstract namespace
        _bind(socket, endpoint, flag)
        return None
    try:
        found = status(path)
    except InputMissingError as closed:
        raise _no_socket(endpoint, flag, closed.why) from closed
    if found and not stat.S_ISSOCK(found.st_mode):
        raise ConfigError(
            f"{flag} {endpoint}: something that is no socket is there",
            why="binding would delete it",
            fix=f"choose another path with {flag}",
        )
    try:
        # The lock file stays when all is over: removing it could take it from one who just opened it.
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as refused:
        if refused.errno == errno.ELOOP:
            raise ConfigError(
                f"{flag} {endpoint}: {path}.lock is a link",
                why="locking would follow it to a file that may be another's",
                fix=f"remove it, or choose another path with {flag}",
            ) from refused
        raise _no_socket(endpoint, flag, refused.strerror or "") from refused
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _bind(socket, endpoint, flag)
        path.chmod(GROUP_MAY_CONNECT)
    except BlockingIOError as held:
        os.close(lock)
        raise _taken(endpoint, flag) from held
    except BaseException:
        os.close(lock)
        raise
    return lock


def _no_socket(endpoint: str, flag: str, why: str) -> ConfigError:
    return ConfigError(
        f"{flag} {endpoint}: no socket can be made there",
        why=why,
        fix=f"make the folder {_path(endpoint).parent} writable, or choose another path with {flag}",
    )


def _bind(socket: "zmq.Socket[bytes]", endpoint: str, flag: str) -> None:
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as refused:
        if refused.errno == errno.EADDRINUSE:
            raise _taken(endpoint, flag) from refused
        if endpoint.startswith("ipc://"):
            raise _no_socket(endpoint, flag, refused.strerror) from refused
        if refused.errno == errno.EACCES:
            raise UnavailableError(
                f"{flag} {endpoint}: this user may not listen there",
                fix=f"choose a port from 1024 with {flag}",
            ) from refused
        raise ConfigError(
            f"{flag} {endpoint}: no socket can be bound there",
            why=refused.strerror,
            fix=f"choose an address of this machine with {flag}, such as tcp://127.0.0.1:7310",
        ) from refused


def _taken(endpoint: str, flag: str) -> UnavailableError:
    return UnavailableError(
        f"{flag} {endpoint} is taken",
        why="another edgecap may be running on it",
        fix=f"stop that one, or choose another address with {flag}",
    )


def _path(endpoint: str) -> Path:
    return Path(endpoint.removeprefix("ipc://"))
