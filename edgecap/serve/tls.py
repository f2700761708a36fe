"""TLS for a home: a certificate authority of its own, and a certificate of it for this machine.

A device that trusts the authority once takes every later certificate. The authority may vouch for names and
addresses of home networks alone, so that its key, if stolen, opens nothing else.
"""

import ipaddress
import os
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgecap.runtime.errors import ConfigError, UnavailableError

from . import net

FOLDER = "tls"
AUTHORITY_FOR = timedelta(days=3650)
LEAF_FOR = timedelta(days=365)
"""Phones refuse certificates that are good for much longer."""
RENEWED_BEFORE = timedelta(days=30)
BACKDATED = timedelta(days=1)
"""A device whose clock is a little behind takes it all the same."""
HOME_NAMES = ("localhost", *net.SUFFIXES)
HOME_NETWORKS = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7", "fe80::/10",
    "::1/128",
)  # fmt: skip


class Tls:
    """The certificate of this machine, made where it is missing, renewed in time. hosts: further names of it.

    context: what a socket is wrapped with; it follows renewals. Raises UnavailableError where the folder
    can't be written, ConfigError where what it holds is no key or certificate.
    """

    def __init__(self, folder: Path, hosts: Sequence[str] = ()) -> None:
        self._folder, self._hosts = folder / FOLDER, hosts
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._key, self.authority = self._load_authority()
            self._ensure_leaf()
        except OSError as refused:
            raise UnavailableError(
                f"no certificate can be kept in {self._folder}",
                why=refused.strerror or str(refused),
                fix="name another folder with --data",
            ) from refused
        except ValueError as broken:
            raise ConfigError(
                f"{self._folder} holds no usable certificate",
                why=str(broken),
                fix="remove it; devices have to trust a new one then",
            ) from broken
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._use()

    @property
    def authority_pem(self) -> bytes:
        """What devices have to trust."""
        return self.authority.public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the authority, as devices show it."""
        return self.authority.fingerprint(hashes.SHA256()).hex(":").upper()

    def renew(self) -> bool:
        """Make a new certificate where this one ends soon, or this machine has another name or address now.

        Whether there is a new one; connections that stand keep the old.
        """
        if not self._ensure_leaf():
            return False
        self._use()
        return True

    def _use(self) -> None:
        self.context.load_cert_chain(self._folder / "leaf.pem", self._folder / "leaf.key")

    def _load_authority(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        key_file, file = self._folder / "authority.key", self._folder / "authority.pem"
        if not file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            authority = _authority(key)
            _write(key_file, _pem(key))
            _write(file, authority.public_bytes(serialization.Encoding.PEM))
        loaded = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{key_file.name} holds no key that was made here")
        return loaded, x509.load_pem_x509_certificate(file.read_bytes())

    def _ensure_leaf(self) -> bool:
        """Whether a new one was made."""
        file, wanted = self._folder / "leaf.pem", self._names()
        if file.exists():
            leaf = x509.load_pem_x509_certificate(file.read_bytes())
            held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            is_ours = leaf.issuer == self.authority.subject
            if is_ours and set(wanted) <= set(held) and leaf.not_valid_after_utc - RENEWED_BEFORE > _now():
                return False
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _leaf(key, wanted, self._key, self.authority)
        _write(self._folder / "leaf.key", _pem(key))
        _write(file, leaf.public_bytes(serialization.Encoding.PEM))
        return True

    def _names(self) -> list[x509.GeneralName]:
        """By which this machine may be called, as far as the authority may vouch for them."""
        limits = self.authority.extensions.get_extension_for_class(x509.NameConstraints).value
        allowed = [each.value for each in limits.permitted_subtrees or ()]
        found: list[x509.GeneralName] = []
        for name in ["localhost", *net.names(), *self._hosts]:
            if any(name == each or name.endswith(f".{each}") for each in allowed):
                found.append(x509.DNSName(name))
        for address in ["127.0.0.1", "::1", *net.addresses()]:
            ip = ipaddress.ip_address(address)
            if any(
                not isinstance(each, str) and ip.version == each.version and ip in each for each in allowed
            ):
                found.append(x509.IPAddress(ip))
        return list(dict.fromkeys(found))


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"edgecap on {net.names()[0]}"[:64])])
    networks = [*HOME_NETWORKS, *net.addresses()]
    names = dict.fromkeys([*HOME_NAMES, *net.names()])
    permitted: list[x509.GeneralName] = [x509.DNSName(each) for each in names]
    permitted += [x509.IPAddress(ipaddress.ip_network(each)) for each in dict.fromkeys(networks)]
    return (
        _builder(name, name, key.public_key(), AUTHORITY_FOR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    key: ec.EllipticCurvePrivateKey,
    names: Sequence[x509.GeneralName],
    authority_key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edgecap")])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(name, authority.subject, key.public_key(), LEAF_FOR)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, good_for: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - BACKDATED)
        .not_valid_after(_now() + good_for)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    part.replace(path)


def _now() -> datetime:
    return datetime.now(UTC)
