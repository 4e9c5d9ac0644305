"""Makes certificates and keys for tests, with an authority; has a password's hash."""

import datetime
import ipaddress
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

#: A password's hash as htpasswd writes it, at cost 10.
WONDERLAND = "$2y$10$zRP63vIg/YwgY3gmT8jwNuZT3VNWfAOb6zp86luLS.nZw9qWi.InW"

DAMAGED = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def write_pair(folder: Path, name: str, issued: trustme.LeafCert) -> None:
    """Write NAME.pem, the chain, and NAME.key."""
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    (folder / f"{name}.pem").write_bytes(chain)
    issued.private_key_pem.write_to_path(folder / f"{name}.key")


def write_all(folder: Path) -> trustme.CA:
    """Write what the files in data/web_config name; the authority that issued it.

    server, other (the same names, another key), client, stranger (of an unknown
    authority), encrypted.key and damaged.pem.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    write_pair(folder, "server", authority.issue_cert("localhost", "127.0.0.1"))
    write_pair(folder, "other", authority.issue_cert("localhost", "127.0.0.1"))
    names = ("scraper.example", "2001:db8::1", "10.1.2.3", "scraper@example.org")
    write_pair(folder, "client", authority.issue_cert(*names))
    write_pair(folder, "stranger", trustme.CA().issue_cert("scraper.example"))
    (folder / "damaged.pem").write_text(DAMAGED)
    key = serialization.load_pem_private_key((folder / "server.key").read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    (folder / "encrypted.key").write_bytes(key.private_bytes(PEM, PKCS8, encryption))
    return authority


def write_self_signed(folder: Path, name: str, *alternatives: x509.GeneralName) -> None:
    """Write NAME.pem and NAME.key: a self-signed certificate with alternative names."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    begin = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin.replace(year=2999))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(PEM))
    no_encryption = serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(key.private_bytes(PEM, PKCS8, no_encryption))


#: What cryptography wants for an IP address.
address = ipaddress.ip_address
