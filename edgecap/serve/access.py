"""Access: who was let in, as one file that its owner alone can read. Secrets are in it by their hashes only.

The face and `edgecap access` write the same file, each under its lock, and see what the other changed.
"""

import fcntl
import hashlib
import hmac
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from edgecap.runtime.errors import ConfigError, EdgecapError, InputMissingError, UsageError
from edgecap.runtime.telling import wire

from .folder import make_private

FILE = "access.json"
SHORTEST_PASSPHRASE, LONGEST_PASSPHRASE = 8, 200
PAIRING = timedelta(minutes=10)
MOST_TRIES = 10
"""Wrong codes after which a code is void: it is short, for people who type it on a television."""
MOST_NAMES = 200
"""Devices and links; more would be somebody's mistake."""
SEEN_EVERY = timedelta(hours=1)

Kind = Literal["device", "tv", "obs"]

log = logging.getLogger(__name__)


class Passphrase(msgspec.Struct):
    """scrypt of it, both in hexadecimal."""

    salt: str
    hash: str


class Named(msgspec.Struct):
    """A device that was paired or logged in, or a link. hash: of the token by which it comes."""

    id: str
    kind: Kind
    name: str
    hash: str
    owner: bool
    created: wire.Timestamp
    seen: wire.Timestamp


class Pairing(msgspec.Struct):
    """An open invitation, for one device."""

    token: str
    code: str
    owner: bool
    expires: wire.Timestamp
    tries: int = 0


class Saved(msgspec.Struct):
    """What the file holds."""

    instance: str = ""
    """In the cookie's name: several faces of one machine share a browser's cookies."""
    passphrase: Passphrase | None = None
    named: list[Named] = []
    pairings: list[Pairing] = []


class Invitation(NamedTuple):
    """What lets one device in, once: the token in a QR code, or the code that people type."""

    token: str
    code: str
    expires: wire.Timestamp


class Access:
    """folder: where the file is; where it can't be written, all is known until the end of the process only.

    Raises ConfigError for a file that is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.RLock()
        self._read: tuple[int, int, int] | None = None
        self._saved = Saved()
        self.trouble = ""
        """Why nothing is remembered; empty where it is."""
        try:
            make_private(folder)
        except (OSError, EdgecapError) as refused:
            self.trouble = str(getattr(refused, "strerror", None) or refused)
        if not self._now().instance:
            with self._changing() as saved:
                saved.instance = saved.instance or secrets.token_hex(4)

    @property
    def cookie(self) -> str:
        """The name of the cookie by which a device comes."""
        return f"edgecap-{self._now().instance}"

    @property
    def has_passphrase(self) -> bool:
        return self._now().passphrase is not None

    @property
    def is_guarded(self) -> bool:
        """Whether others than this machine may knock: there is something by which they could be let in."""
        saved = self._now()
        return bool(saved.passphrase or saved.named or _open(saved))

    def named(self) -> list[Named]:
        """Devices and links, oldest first."""
        return list(self._now().named)

    def find(self, token: str, kinds: tuple[Kind, ...] = ("device",)) -> Named | None:
        """Who comes by this token."""
        wanted = _hash(token)
        for each in self._now().named:
            if each.kind in kinds and hmac.compare_digest(each.hash, wanted):
                return each
        return None

    def set_passphrase(self, new: str) -> None:
        """Raises UsageError for one that is too short or too long."""
        if not SHORTEST_PASSPHRASE <= len(new) <= LONGEST_PASSPHRASE:
            raise UsageError(
                "this is no passphrase",
                why=f"it has {len(new)} characters, not {SHORTEST_PASSPHRASE} to {LONGEST_PASSPHRASE}",
                fix="take a few words",
            )
        salt = secrets.token_hex(16)
        made = Passphrase(salt, _scrypt(new, salt))
        with self._changing() as saved:
            saved.passphrase = made

    def is_passphrase(self, tried: str) -> bool:
        """Takes some 50 ms and 16 MB."""
        known = self._now().passphrase
        if known is None or len(tried) > LONGEST_PASSPHRASE:
            return False
        with self._lock:  # one at a time
            return hmac.compare_digest(known.hash, _scrypt(tried, known.salt))

    def add(self, kind: Kind, name: str, *, owner: bool = False) -> tuple[Named, str]:
        """A new device or link, and its token. Raises UsageError where there are too many."""
        token = secrets.token_urlsafe(24)
        now = _now()
        added = Named(secrets.token_hex(6), kind, _printable(name, kind), _hash(token), owner, now, now)
        with self._changing() as saved:
            if len(saved.named) >= MOST_NAMES:
                raise UsageError(
                    "no further device can be added", why=f"there are {MOST_NAMES}", fix="revoke some of them"
                )
            saved.named.append(added)
        return added, token

    def revoke(self, id: str) -> Named:  # noqa: A002  # what the API calls it
        """Raises InputMissingError where there is none."""
        with self._changing() as saved:
            for each in saved.named:
                if each.id == id:
                    saved.named.remove(each)
                    return each
        raise InputMissingError(f"there is no device or link {id!r}", fix="`edgecap access` lists them")

    def invite(self, *, owner: bool = False) -> Invitation:
        """One device may come within ten minutes."""
        token, code = secrets.token_urlsafe(16), f"{secrets.randbelow(10**8):08d}"
        expires = wire.timestamp(datetime.now(UTC) + PAIRING)
        with self._changing() as saved:
            saved.pairings = [*_open(saved)[-20:], Pairing(_hash(token), _hash(code), owner, expires)]
        return Invitation(token, code, expires)

    def pair(self, secret: str, name: str) -> tuple[Named, str] | None:
        """The device that an invitation lets in, and its token; None where there is none, or no more."""
        wanted = _hash(secret)
        typed = "".join(each for each in secret if not each.isspace() and each != "-")
        code = _hash(typed) if typed.isdigit() else ""
        with self._changing() as saved:
            saved.pairings = _open(saved)
            for pairing in saved.pairings:
                by_code = pairing.tries < MOST_TRIES and hmac.compare_digest(pairing.code, code)
                if by_code or hmac.compare_digest(pairing.token, wanted):
                    saved.pairings.remove(pairing)
                    break
                pairing.tries += bool(code)
            else:
                return None
        return self.add("device", name, owner=pairing.owner)

    def see(self, named: Named) -> None:
        """It is here now."""
        with self._changing() as saved:
            for each in saved.named:
                if each.id == named.id:
                    each.seen = _now()

    def _now(self) -> Saved:
        """What the file holds, read again where it changed; if it was removed, nobody is known."""
        with self._lock:
            if self.trouble:
                return self._saved
            try:
                stat = self._path.stat()
                stamp = stat.st_ino, stat.st_mtime_ns, stat.st_size
                if stamp != self._read:
                    self._saved, self._read = self._load(), stamp
            except FileNotFoundError:
                if self._read:
                    self._saved, self._read = Saved(self._saved.instance), None
            return self._saved

    def _load(self) -> Saved:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Saved)
        except FileNotFoundError:
            raise
        except (OSError, msgspec.DecodeError) as damaged:
            refused = ConfigError(
                f"{self._path} can't be read",
                why=str(damaged),
                fix="remove it; devices have to be paired again then",
            )
            if not self._read:
                raise refused from damaged
            log.warning("%s", refused)  # somebody edits it: what was known holds on
            return self._saved

    @contextmanager
    def _changing(self) -> Iterator[Saved]:
        """What is changed inside is written, for this process and others."""
        with self._lock:
            if self.trouble:
                yield self._saved
                return
            try:
                lock = os.open(self._path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
            except OSError as refused:
                self.trouble = refused.strerror or str(refused)
                log.warning(
                    "%s can't be written: %s. Devices are forgotten at the end.", self._path, self.trouble
                )
                yield self._saved
                return
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                saved = self._now()
                yield saved
                self._write(saved)
            finally:
                os.close(lock)

    def _write(self, saved: Saved) -> None:
        part = self._path.with_suffix(".part")
        try:
            with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(saved)))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
            stat = self._path.stat()
            self._read = stat.st_ino, stat.st_mtime_ns, stat.st_size
        except OSError as refused:
            self.trouble = refused.strerror or str(refused)
            log.warning(
                "%s can't be written: %s. Devices are forgotten at the end.", self._path, self.trouble
            )


def _open(saved: Saved) -> list[Pairing]:
    now = _now()
    return [each for each in saved.pairings if each.expires > now]


def is_long_unseen(named: Named) -> bool:
    """Whether it is worth writing down that it is here."""
    return datetime.now(UTC) - wire.moment(named.seen) > SEEN_EVERY


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _scrypt(passphrase: str, salt: str) -> str:
    return hashlib.scrypt(
        passphrase.encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1, maxmem=1 << 26
    ).hex()


def _printable(name: str, otherwise: str) -> str:
    return "".join(each for each in name if each.isprintable()).strip()[:60] or otherwise


def _now() -> wire.Timestamp:
    return wire.timestamp(datetime.now(UTC))
