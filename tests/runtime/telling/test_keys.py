"""CURVE: a known reader is let in, everyone else hears nothing."""

import select
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zmq
import zmq.auth
from zmq.auth import create_certificates, load_certificate, load_certificates

from edgecap.client import Subscriber
from edgecap.runtime.errors import ConfigError
from edgecap.runtime.events import Caption
from edgecap.runtime.telling import keys as keys_module
from edgecap.runtime.telling.keys import ReaderKeys, ServerKeys
from tests.station import Station

ANY = "tcp://127.0.0.1:*"
PATIENCE = 250
QUIET = 15
ROUND_S = 0.02
PROGRAM_ROUNDS = 1500
"""A program has to start first."""


def create(folder: Path, name: str) -> tuple[Path, Path]:
    """The public and the secret key file, the latter as private as it must be."""
    public, secret = map(Path, zmq.auth.create_certificates(folder, name))
    secret.chmod(0o600)
    return public, secret


@pytest.fixture
def keys(tmp_path: Path) -> ServerKeys:
    clients = tmp_path / "clients"
    clients.mkdir()
    _, secret = create(tmp_path, "kitchen")
    return ServerKeys(secret, clients)


def reader(keys: ServerKeys, folder: Path, name: str, *, allowed: bool) -> ReaderKeys:
    public, secret = create(folder, name)
    if allowed:
        public.rename(keys.clients / f"{name}.key")
    return ReaderKeys(secret, keys.secret.with_suffix(".key"))


def hears(publisher: Station, subscriber: Subscriber, rounds: int) -> bool:
    """Whether any of so many statuses reaches it."""
    for _ in range(rounds):
        publisher.status(
            "listening", at=datetime.now(UTC), level=-40.0, gaps=0, capture="healthy", uptime=1.0
        )
        if subscriber.receive(ROUND_S):
            return True
    return False


def test_a_known_reader_hears_and_others_do_not(keys: ServerKeys, tmp_path: Path) -> None:
    known = reader(keys, tmp_path, "anna", allowed=True)
    unknown = reader(keys, tmp_path, "mallory", allowed=False)
    with Station(ANY, ANY, "kitchen", "m", 1, keys=keys) as publisher:
        endpoint = publisher.publish_endpoint
        with Subscriber(endpoint, None, keys=known) as subscriber:
            assert hears(publisher, subscriber, PATIENCE)
        with Subscriber(endpoint, None, keys=unknown) as subscriber:
            assert not hears(publisher, subscriber, QUIET)
        with Subscriber(endpoint, None) as subscriber:
            assert not hears(publisher, subscriber, QUIET)


def test_a_reader_is_let_in_once_its_key_is_there(keys: ServerKeys, tmp_path: Path) -> None:
    known = reader(keys, tmp_path, "anna", allowed=False)
    with (
        Station(ANY, ANY, "kitchen", "m", 1, keys=keys) as publisher,
        Subscriber(publisher.publish_endpoint, None, keys=known) as early,
    ):
        assert not hears(publisher, early, QUIET)
        known.secret.with_suffix(".key").rename(keys.clients / "anna.key")
        with Subscriber(publisher.publish_endpoint, None, keys=known) as subscriber:
            assert hears(publisher, subscriber, PATIENCE)


def test_a_reader_s_keys_are_flags_of_listen(keys: ServerKeys, tmp_path: Path) -> None:
    known = reader(keys, tmp_path, "anna", allowed=True)
    with Station(ANY, ANY, "kitchen", "m", 1, keys=keys) as publisher:
        listen = [sys.executable, "-m", "edgecap", "listen", publisher.publish_endpoint, "--json"]
        files = ["--secret", str(known.secret), "--server", str(known.server)]
        with subprocess.Popen([*listen, *files], stdout=subprocess.PIPE) as listener:
            try:
                assert listener.stdout
                for _ in range(PROGRAM_ROUNDS):
                    publisher.status(
                        "listening", at=datetime.now(UTC), level=-40.0, gaps=0, capture="healthy", uptime=1.0
                    )
                    publisher.caption(
                        Caption("new", "1", "A dog barks.", 0.9, (), 0), datetime.now(UTC), None
                    )
                    if select.select([listener.stdout], [], [], ROUND_S)[0]:
                        break
                assert b"A dog barks." in listener.stdout.readline()
            finally:
                listener.kill()
        half = subprocess.run([*listen, *files[:2]], capture_output=True, text=True, check=False)
    assert half.returncode == 2
    assert "--server is missing" in half.stderr


def test_with_keys_other_machines_may_connect(keys: ServerKeys) -> None:
    Station("tcp://0.0.0.0:*", ANY, "kitchen", "m", 1, keys=keys).close()


def test_a_secret_that_others_can_read_is_refused(keys: ServerKeys) -> None:
    keys.secret.chmod(0o644)
    with pytest.raises(ConfigError, match=r"can be read by others: .* Run chmod 600"):
        Station(ANY, ANY, "kitchen", "m", 1, keys=keys)


def test_a_public_key_is_no_secret(keys: ServerKeys) -> None:
    public = keys.secret.with_suffix(".key")
    with pytest.raises(ConfigError, match="has no secret key"):
        Station(ANY, ANY, "kitchen", "m", 1, keys=keys._replace(secret=public))


@pytest.mark.parametrize("text", [None, "", "not a key", "curve\n    public-key = short\n"])
def test_what_is_no_key_file_is_configuration(keys: ServerKeys, text: str | None) -> None:
    keys.secret.unlink()
    if text is not None:
        keys.secret.write_text(text)
        keys.secret.chmod(0o600)
    with pytest.raises(ConfigError, match=r"kitchen\.key_secret") as refused:
        Station(ANY, ANY, "kitchen", "m", 1, keys=keys)
    assert refused.value.code == 78


def test_a_missing_folder_of_readers_is_configuration(keys: ServerKeys, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder of readers' keys"):
        Station(ANY, ANY, "kitchen", "m", 1, keys=keys._replace(clients=tmp_path / "nowhere"))


def test_the_readers_are_read_again_only_when_they_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna, _ = create_certificates(tmp_path, "anna")
    public = load_certificate(anna)[0]
    reads = 0

    def load(folder: Path) -> dict[bytes, object]:
        nonlocal reads
        reads += 1
        return load_certificates(folder)

    monkeypatch.setattr(keys_module, "load_certificates", load)
    allowed = keys_module._Allowed(tmp_path)
    assert all(allowed.callback("captions", public) for _ in range(100))
    assert not any(allowed.callback("captions", b"a stranger") for _ in range(100))
    assert reads == 1
    ben, _ = create_certificates(tmp_path, "ben")
    assert allowed.callback("captions", load_certificate(ben)[0])
    assert reads == 2
    Path(anna).unlink()
    assert not allowed.callback("captions", public)
