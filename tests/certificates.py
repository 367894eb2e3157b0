"""Certificates for tests, by openssl: a private authority, as many are (no key usage), and what it signs."""

import subprocess

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
CONFIG = """
[ca]
default_ca = authority
[authority]
new_certs_dir = .
database = {name}.index
serial = {name}.serial
unique_subject = no
default_md = sha256
policy = any
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
basicConstraints = CA:FALSE
{names}
"""


def openssl(at, *words):
    """Run openssl in the folder `at`."""
    subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=at)


def self_signed(at, *, names="DNS:localhost"):
    """`key.pem` and `cert.pem`, which nobody has signed."""
    openssl(at, "req", "-x509", *NEW_KEY, "-subj", "/CN=localhost", "-addext", f"subjectAltName={names}",
            "-days", "2", "-keyout", "key.pem", "-out", "cert.pem")  # fmt: skip


class Authority:
    """`NAME.crt` and `NAME.key` in the folder `at`, and what it signs beside them."""

    def __init__(self, at, name="ca"):
        self.at, self.name = at, name
        openssl(at, "req", "-x509", *NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "9000",
                "-subj", f"/CN=vedette test {name}")  # fmt: skip
        (at / f"{name}.index").touch()
        (at / f"{name}.serial").write_text("01\n")

    def sign(self, name, *, key="", names="", begins="20000101", ends="20480101"):
        """`name.crt`, valid from day to day, of `key` or a new `name.key`; `names` are a server's: `IP:127.0.0.1`."""
        (self.at / "config").write_text(
            CONFIG.format(name=self.name, names=f"subjectAltName = {names}" if names else "")
        )
        of = ("-new", "-key", key) if key else (*NEW_KEY, "-keyout", f"{name}.key")
        openssl(self.at, "req", *of, "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(self.at, "ca", "-batch", "-config", "config", "-cert", f"{self.name}.crt", "-keyfile",
                f"{self.name}.key", "-in", f"{name}.csr", "-out", f"{name}.crt",
                "-startdate", f"{begins}000000Z", "-enddate", f"{ends}000000Z")  # fmt: skip
        for made in self.at.glob("*.key"):
            made.chmod(0o644)  # mosquitto reads them as its own user
