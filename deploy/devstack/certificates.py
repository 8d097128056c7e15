"""A certificate authority of the stack's own, and what it has signed: for loopback addresses only, made once for each stack."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.devstack.keys import write_private
from deploy.devstack.ports import LOOPBACK

LIFE = timedelta(days=825)
# Clocks differ.
BEFORE = timedelta(minutes=5)
AUTHORITY = "Gongji development"


@dataclass(frozen=True)
class Certificates:
    """Where the certificates of one stack are."""

    directory: Path

    @property
    def authority(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def server(self) -> Path:
        return self.directory / "server.pem"

    @property
    def server_key(self) -> Path:
        return self.directory / "server.key"

    def create_missing(self) -> None:
        """Makes the authority and the servers' certificate; existing ones are left as they are."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.authority.exists() and self._authority_key.exists()):
            self._create_authority()
        if not (self.server.exists() and self.server_key.exists()):
            self._sign("localhost", self.server, self.server_key, ExtendedKeyUsageOID.SERVER_AUTH)

    def issue(self, user: str) -> tuple[Path, Path]:
        """A certificate with which a client says who it is, and its key; made anew each time."""
        folder = self.directory / "users"
        folder.mkdir(mode=0o700, exist_ok=True)
        certificate, key = folder / f"{user}.pem", folder / f"{user}.key"
        self._sign(user, certificate, key, ExtendedKeyUsageOID.CLIENT_AUTH)
        return certificate, key

    @property
    def _authority_key(self) -> Path:
        return self.directory / "ca.key"

    def _create_authority(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(AUTHORITY)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        made = (
            _builder(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        _write_key(self._authority_key, key)
        self.authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def _sign(self, name: str, certificate: Path, key_file: Path, purpose: x509.ObjectIdentifier) -> None:
        authority = x509.load_pem_x509_certificate(self.authority.read_bytes())
        authority_key = serialization.load_pem_private_key(self._authority_key.read_bytes(), password=None)
        assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        loopback = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
        made = (
            _builder(_name(name), authority.subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )
        if purpose == ExtendedKeyUsageOID.SERVER_AUTH:
            made = made.add_extension(x509.SubjectAlternativeName(loopback), critical=False)
        _write_key(key_file, key)
        signed = made.sign(authority_key, hashes.SHA256())
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(file, pem)
