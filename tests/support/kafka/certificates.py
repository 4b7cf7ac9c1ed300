"""An authority of our own and a certificate for the test broker, in PEM."""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from shared.clock import SystemClock

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where they are."""

    authority: Path
    broker: Path
    """Key and certificate, one after the other, as Kafka wants them."""


def write_certificates(folder: Path) -> Certificates:
    """For 127.0.0.1, valid for a day."""
    authority_key, broker_key = _key(), _key()
    authority = _certificate("authority", authority_key.public_key(), "authority", authority_key, is_authority=True)
    broker = _certificate("broker", broker_key.public_key(), "authority", authority_key, is_authority=False)
    pem = serialization.Encoding.PEM
    found = Certificates(folder / "authority.pem", folder / "broker.pem")
    found.authority.write_bytes(authority.public_bytes(pem))
    private = broker_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    found.broker.write_bytes(private + broker.public_bytes(pem))
    return found


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: str, key: rsa.RSAPublicKey, issuer: str, issuer_key: rsa.RSAPrivateKey, *, is_authority: bool
) -> x509.Certificate:
    now = SystemClock().now()
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
