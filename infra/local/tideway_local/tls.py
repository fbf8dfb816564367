"""Certificates for tests: one authority, the servers' certificate, a client's, a strange authority.

The servers' certificate carries 127.0.0.1 and localhost as subjectAltName; MySQL's own generated
ones do not, and rustls refuses those.
"""

import shutil

from . import paths
from .process import run, say

FILES = ("ca.pem", "server-cert.pem", "server-key.pem", "client-cert.pem", "client-key.pem", "other-ca.pem")
DAYS = "3650"


def _authority(stem, name):
    run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", DAYS,
         "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
         "-keyout", paths.TLS / f"{stem}-key.pem", "-out", paths.TLS / f"{stem}.pem"]
    )


def _signed(stem, common_name, extensions):
    request = paths.TLS / f"{stem}.csr"
    extension_file = paths.TLS / f"{stem}.ext"
    extension_file.write_text(extensions)
    run(
        ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={common_name}",
         "-keyout", paths.TLS / f"{stem}-key.pem", "-out", request]
    )
    run(
        ["openssl", "x509", "-req", "-sha256", "-days", DAYS, "-in", request,
         "-CA", paths.TLS / "ca.pem", "-CAkey", paths.TLS / "ca-key.pem", "-CAcreateserial",
         "-extfile", extension_file, "-out", paths.TLS / f"{stem}-cert.pem"]
    )


def make():
    """Makes the certificates that are missing. All or none: a half-made set is made again."""
    if all((paths.TLS / name).exists() for name in FILES) and (paths.TLS / "complete").exists():
        return
    say("making certificates")
    _authority("ca", "Tideway test authority")
    _authority("other-ca", "An authority that signed nothing here")
    _signed(
        "server",
        "tideway-test-server",
        "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n",
    )
    _signed("client", "tideway-test-client", "extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n")
    (paths.TLS / "complete").touch()


def copy_into_sid():
    """Puts what a chrooted mysqld must read into its root."""
    folder = paths.host_path(paths.SID_TLS)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ca.pem", "server-cert.pem", "server-key.pem"):
        shutil.copyfile(paths.TLS / name, folder / name)
