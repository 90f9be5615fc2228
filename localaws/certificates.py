"""A certificate authority of this server: what RDS's certificate bundle is in AWS.

True: certificates are real and `verify-full` works against the bundle. Not true: there is one authority for
everything, made anew at every start, valid for a month.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALIDITY = timedelta(days=30)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


class Certificates:
    """The authority and what it issues.

    Parameters
    ----------
    directory:
        Where certificates and keys are written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = Lock()
        self._count = 0
        directory.mkdir(parents=True, exist_ok=True)
        self.authority = directory / "certificate-bundle.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name("Local AWS certificate authority")
        now = datetime.now(UTC)
        self._certificate = (
            self._builder(self._subject, self._key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.authority.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, now: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + VALIDITY)
        )

    def issue(self, names_and_addresses: Sequence[str]) -> tuple[Path, Path]:
        """Issue a server certificate for host names and IP addresses.

        Returns
        -------
        tuple
            Paths of the certificate and of its key (mode 0600, owned by us), both PEM.
        """
        if not names_and_addresses:
            raise ValueError("a certificate needs at least one name or address")
        with self._lock:
            self._count += 1
            number = self._count
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(_name(names_and_addresses[0]), key.public_key(), datetime.now(UTC))
            .add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names_and_addresses]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        certificate_path = self._directory / f"{number}.crt"
        key_path = self._directory / f"{number}.key"
        certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_path.touch(mode=0o600)
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate_path, key_path


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
