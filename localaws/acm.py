"""Certificate Manager: a certificate is issued when the record that proves the domain is in Route 53.

True: each certificate asks for a record of its own account and name, the same one every time it is asked
for; `PENDING_VALIDATION` until a hosted zone of this server has that record, then `ISSUED`, whatever the
region; one that a listener or a distribution uses cannot be deleted. Not true: the certificate that a
listener shows is signed by the local authority; renewal, e-mail validation and validation outside of Route 53
do not happen.
"""

import hashlib
from typing import Any

from moto.acm.models import AWSCertificateManagerBackend, CertBundle, acm_backends
from moto.cloudfront.models import cloudfront_backends
from moto.core.exceptions import JsonRESTError
from moto.elbv2.models import elbv2_backends
from moto.route53.models import route53_backends

from localaws.runtime import Runtime


def install(runtime: Runtime) -> None:  # noqa: ARG001 - every module has the same door
    """Make certificates wait for their records: called once, before the server answers its first request."""
    described = CertBundle.describe
    delete = AWSCertificateManagerBackend.delete_certificate

    def describe(certificate: CertBundle) -> dict[str, Any]:
        certificate.check()
        document: dict[str, Any] = described(certificate)
        account = certificate.arn.split(":")[4]
        for option in document["Certificate"].get("DomainValidationOptions", []):
            option["ResourceRecord"] = record(account, option["DomainName"])
        return document

    def check(certificate: CertBundle) -> None:
        # moto issues a certificate after a minute, whoever asked for it.
        if certificate.type != "AMAZON_ISSUED" or certificate.status != "PENDING_VALIDATION":
            return
        account = certificate.arn.split(":")[4]
        names = {certificate.common_name, *certificate.sans}
        if all(is_there(account, record(account, name)) for name in names):
            certificate.status = "ISSUED"

    def delete_certificate(backend: AWSCertificateManagerBackend, arn: str) -> None:
        if users := used_by(arn):
            raise JsonRESTError(
                "ResourceInUseException", f"Certificate {arn} is in use by {', '.join(users)}"
            )
        delete(backend, arn)

    CertBundle.describe = describe
    CertBundle.check = check
    AWSCertificateManagerBackend.delete_certificate = delete_certificate


def record(account: str, name: str) -> dict[str, str]:
    """Return the record that proves who owns a domain: the same for every certificate of account and name."""
    bare = name.removeprefix("*.")
    digest = hashlib.sha256(f"{account} {bare}".encode()).hexdigest()
    return {
        "Name": f"_{digest[:32]}.{bare}.",
        "Type": "CNAME",
        "Value": f"_{digest[32:]}.acm-validations.aws.",
    }


def is_there(account: str, wanted: dict[str, str]) -> bool:
    """Return whether a public hosted zone of the account has a record."""
    for _, _, backend in list(route53_backends.iter_backends()):
        for zone in list(backend.zones.values()) if backend.account_id == account else []:
            if zone.private_zone:
                continue
            for found in list(zone.rrsets):
                same = found.name.rstrip(".") == wanted["Name"].rstrip(".") and found.type == wanted["Type"]
                if same and wanted["Value"].rstrip(".") in {each.rstrip(".") for each in found.records}:
                    return True
    return False


def names_of(arn: str) -> list[str]:
    """Return the domain names that a certificate is for; none for one that is not Certificate Manager's."""
    for _, _, backend in list(acm_backends.iter_backends()):
        if certificate := backend._certificates.get(arn):
            return list(dict.fromkeys([certificate.common_name, *certificate.sans]))
    return []


def used_by(arn: str) -> list[str]:
    """Return the ARNs of the load balancers and distributions that show a certificate."""
    listeners = [
        balancer.arn
        for _, _, backend in list(elbv2_backends.iter_backends())
        for balancer in backend.load_balancers.values()
        for listener in balancer.listeners.values()
        if arn in (listener.certificates or [])
    ]
    distributions = [
        distribution.arn
        for _, _, backend in list(cloudfront_backends.iter_backends())
        for distribution in backend.distributions.values()
        if (getattr(distribution.distribution_config, "ViewerCertificate", None) or {}).get(
            "ACMCertificateArn"
        )
        == arn
    ]
    return listeners + distributions
