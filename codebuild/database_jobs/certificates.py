"""The bundle of certificate authorities that a database server's certificate is checked against."""

import re
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from job_support.errors import JobError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

REMEDY = "Check CERTIFICATE_BUNDLE_URL and that the build may reach it."
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def read(url: str) -> str:
    """Return what a URL answers; its scheme was checked with the inputs: https, http or file."""
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310
        return str(answer.read().decode("ascii", "replace"))


def fetch_bundle(url: str, path: Path, *, attempts: int = 5) -> Path:
    """Fetch the bundle into a file and check that it holds certificates.

    Raises
    ------
    JobError
        `DatabaseJobFailed` when it cannot be fetched, or is not PEM.
    """
    retrying = Retrying(
        stop=stop_after_attempt(attempts),
        wait=wait_exponential(multiplier=0.5, max=8),
        retry=retry_if_exception_type((urllib.error.URLError, TimeoutError, ConnectionError)),
        reraise=True,
    )
    try:
        # The scheme was checked with the inputs: https, http or file.
        text = retrying(lambda: read(url))
    except (OSError, ValueError) as error:
        raise JobError(
            "DatabaseJobFailed", f"The certificate bundle could not be fetched from {url}: {error}.", REMEDY
        ) from error
    certificates = PEM.findall(text)
    try:
        for certificate in certificates:
            ssl.PEM_cert_to_DER_cert(certificate)
    except ValueError:
        certificates = []
    if not certificates:
        raise JobError(
            "DatabaseJobFailed", f"What {url} answered is not a bundle of PEM certificates.", REMEDY
        )
    path.write_text("\n".join(certificates) + "\n")
    return path
