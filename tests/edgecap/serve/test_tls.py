"""https by a certificate authority of one's own: trusted once, renewed in time, good for homes alone."""

import contextlib
import http.client
import socket
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from edgecap.runtime.errors import ConfigError, UnavailableError
from edgecap.serve import net, tls
from edgecap.serve.tls import Tls
from tests.edgecap.serve.house import RunningFace


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFace]:
    with RunningFace(tmp_path_factory.mktemp("data"), is_https=True) as running:
        yield running


def trusting(authority: bytes) -> ssl.SSLContext:
    """A client that trusts this authority and no other."""
    return ssl.create_default_context(cadata=authority.decode())


def plain(face: RunningFace, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(face.host, face.doors.plain_port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_a_device_that_trusts_the_authority_reads_by_https(face: RunningFace) -> None:
    connection = http.client.HTTPConnection(face.host, face.doors.plain_port, timeout=20)
    connection.request("GET", "/ca.crt")
    answer = connection.getresponse()
    authority = answer.read()
    connection.close()
    assert answer.headers["content-type"] == "application/x-x509-ca-cert"

    for host in ("127.0.0.1", "localhost"):
        secure = http.client.HTTPSConnection(host, face.port, context=trusting(authority), timeout=20)
        origin = {"origin": f"https://{host}:{face.port}", "content-type": "application/json"}
        invited = face.face.guards.access.invite()
        secure.request("POST", "/api/pair", f'{{"token":"{invited.token}"}}', origin)
        paired = secure.getresponse()
        paired.read()
        assert paired.status == 200
        assert "secure" in str(paired.headers["set-cookie"]).lower()
        secure.close()

    stranger = http.client.HTTPSConnection(face.host, face.port, timeout=20)
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.request("GET", "/healthz")
    stranger.close()


def test_without_tls_only_how_to_trust_it_is_told(face: RunningFace) -> None:
    for path in ("/trust", "/static/trust.html", "/healthz"):
        assert plain(face, path).status == 200
    for path in ("/", "/api/captions?limit=2", "/events", "/login", "/nowhere"):
        answer = plain(face, path)
        assert (answer.status, answer.headers["location"]) == (307, f"https://127.0.0.1:{face.port}{path}")


def test_the_keys_are_their_owners(face: RunningFace) -> None:
    keys = sorted((face.settings.folder / "tls").glob("*.key"))
    assert [each.name for each in keys] == ["authority.key", "leaf.key"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in keys} == {0o600}


def test_it_is_renewed_for_a_new_address_and_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net, "addresses", lambda: ["192.168.1.5"])
    made = Tls(tmp_path)
    assert not made.renew()
    monkeypatch.setattr(net, "addresses", lambda: ["192.168.7.7", "203.0.113.9"])
    assert made.renew()
    assert not made.renew()
    assert "192.168.7.7" in names(tmp_path)
    assert "203.0.113.9" not in names(tmp_path)  # no address of a home: the authority may not vouch for it
    monkeypatch.setattr(tls, "_now", lambda: datetime.now(UTC) + tls.LEAF_FOR - timedelta(days=29))
    assert made.renew()
    assert Tls(tmp_path).fingerprint == made.fingerprint


def names(folder: Path) -> list[str]:
    leaf = x509.load_pem_x509_certificate((folder / "tls" / "leaf.pem").read_bytes())
    held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(each.value) for each in held]


@pytest.mark.parametrize(("name", "is_taken"), [("pi.fritz.box", True), ("bank.example", False)])
def test_the_authority_vouches_for_names_of_homes_alone(tmp_path: Path, name: str, is_taken: bool) -> None:
    """Even where somebody took its key: devices refuse what he signs."""
    made = Tls(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    forged = tls._leaf(key, [x509.DNSName(name)], made._key, made.authority)
    (tmp_path / "forged.pem").write_bytes(forged.public_bytes(tls.serialization.Encoding.PEM))
    (tmp_path / "forged.key").write_bytes(tls._pem(key))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "forged.pem", tmp_path / "forged.key")
    to_server, from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(to_server, from_server, server_side=True)
    client = trusting(made.authority_pem).wrap_bio(from_server, to_server, server_hostname=name)

    def shake_hands() -> None:
        for _ in range(4):
            for side in (client, server):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()

    if is_taken:
        shake_hands()
        assert client.version()
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
            shake_hands()


def test_what_holds_no_certificate_is_told(tmp_path: Path) -> None:
    Tls(tmp_path)
    (tmp_path / "tls" / "authority.key").write_text("nonsense", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds no usable certificate"):
        Tls(tmp_path)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UnavailableError, match="no certificate can be kept"):
        Tls(tmp_path / "file")


def test_the_machines_own_names_are_in_it(tmp_path: Path) -> None:
    Tls(tmp_path, hosts=["captions.home.arpa", "captions.example.org"])
    assert {"localhost", socket.gethostname().lower(), "127.0.0.1", "captions.home.arpa"} <= set(
        names(tmp_path)
    )
    assert "captions.example.org" not in names(tmp_path)
