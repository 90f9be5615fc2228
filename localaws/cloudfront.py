"""CloudFront: distributions and their policies, as they were given, with the rules about who needs whom.

True: a distribution is read back as it was written, whole; cache policies, response headers policies (the
managed ones that are named below, too) and origin access controls; versions (ETag, If-Match). What does not
exist, or is not fit, cannot be used: an origin, a policy, an origin access control, a web ACL, a certificate
that is not issued, not in us-east-1 or for another name; an alias that another distribution has. What a
distribution uses cannot be deleted, nor a distribution that is enabled. Invalidations are kept.

Not true: nothing answers under a distribution's name and nothing is cached; invalidations are complete at
once; a change is deployed when it is asked about, not minutes later.
"""

import secrets
import string
from datetime import UTC, datetime
from typing import Any

from moto.acm.models import acm_backends
from moto.cloudfront import models
from moto.cloudfront.exceptions import (
    DomainNameNotAnS3Bucket,
    InvalidIfMatchVersion,
    NoSuchOriginAccessControl,
    OriginDoesNotExist,
)
from moto.cloudfront.models import CloudFrontBackend
from moto.cloudfront.responses import CloudFrontResponse
from moto.cloudfront.urls import url_paths
from moto.core.responses import ActionResult, EmptyResult

from localaws.operations import Refusal
from localaws.runtime import Runtime
from localaws.wafv2 import web_acl_exists

VERSION = "{0}/2020-05-31"

MANAGED_CACHE_POLICIES = {
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
    "658327ea-f89d-4fab-a63d-7e88639e58f6": ("Managed-CachingOptimized", 1, 86400, 31536000),
    "4135ea2d-6df8-44a3-9df3-4b5a84be39ad": ("Managed-CachingDisabled", 0, 0, 0),
}


def install(runtime: Runtime) -> None:  # noqa: ARG001 - every module has the same door
    """Make CloudFront keep what it is given: called once, before the server answers its first request."""
    # moto takes a configuration apart and puts half of it together again; Terraform then sees changes.
    models.DistributionConfig = Configuration
    invalidate = CloudFrontBackend.create_invalidation

    def create_invalidation(backend: CloudFrontBackend, *arguments: Any, **options: Any) -> Any:
        made = invalidate(backend, *arguments, **options)
        made.status = "Completed"  # moto writes it in a way that ends no waiter
        return made

    CloudFrontBackend.create_invalidation = create_invalidation
    policies = (CACHE_POLICIES, RESPONSE_HEADERS_POLICIES)
    for kind in policies:
        for name, action in kind.actions().items():
            setattr(CloudFrontResponse, name, action)
        for path in (kind.path, f"{kind.path}/(?P<Id>[^/]+)", f"{kind.path}/(?P<Id>[^/]+)/config"):
            url_paths[f"{VERSION}/{path}$"] = CloudFrontResponse.dispatch
    for name, action in {
        "create_distribution": create_distribution,
        "create_distribution_with_tags": create_distribution_with_tags,
        "update_distribution": update_distribution,
        "delete_distribution": delete_distribution,
        "update_origin_access_control": update_origin_access_control,
        "delete_origin_access_control": delete_origin_access_control,
    }.items():
        setattr(CloudFrontResponse, name, action)


def identifier() -> str:
    """Return a new id or version as CloudFront makes them."""
    return "E" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(13))


def refuse(status: int, code: str, message: str) -> Refusal:
    """Return an error of CloudFront."""
    return Refusal(status, code, message)


# ---------------------------------------------------------------------- distributions

ALWAYS_THERE: dict[str, Any] = {
    "Aliases": {"Quantity": 0},
    "CacheBehaviors": {"Quantity": 0},
    "ContinuousDeploymentPolicyId": "",
    "CustomErrorResponses": {"Quantity": 0},
    "DefaultRootObject": "",
    "HttpVersion": "http2",
    "IsIPV6Enabled": True,
    "Logging": {"Enabled": False, "IncludeCookies": False, "Bucket": "", "Prefix": ""},
    "OriginGroups": {"Quantity": 0},
    "PriceClass": "PriceClass_All",
    "Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
    "Staging": False,
    "ViewerCertificate": {"CloudFrontDefaultCertificate": True, "MinimumProtocolVersion": "TLSv1"},
    "WebACLId": "",
}
"""What AWS answers where nothing was given. Terraform's provider ends with a panic when it is missing."""


class Configuration:
    """The configuration of a distribution, whole: attributes are the names of the API."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.__dict__.update(
            ALWAYS_THERE | {name: value for name, value in document.items() if value is not None}
        )
        self.caller_reference = document["CallerReference"]

    @property
    def behaviours(self) -> list[dict[str, Any]]:
        """Every cache behaviour, the default one first."""
        return [self.DefaultCacheBehavior, *items(self.__dict__, "CacheBehaviors")]

    @property
    def DefaultCacheBehavior(self) -> dict[str, Any]:  # noqa: N802 - the API's own name
        """Behaviour of what no other behaviour is for."""
        behaviour: dict[str, Any] = self.__dict__["DefaultCacheBehavior"]
        return behaviour

    def uses(self, member: str, identifier: str) -> bool:
        """Return whether a cache behaviour or an origin names the thing."""
        return any(
            each.get(member) == identifier for each in [*self.behaviours, *items(self.__dict__, "Origins")]
        )


def items(document: dict[str, Any], member: str) -> list[Any]:
    """Return the items of a list of the API, which may be absent."""
    return (document.get(member) or {}).get("Items") or []


def configurations(backend: CloudFrontBackend) -> list[tuple[Any, Configuration]]:
    """Return the distributions of an account with their configurations."""
    return [(each, each.distribution_config) for each in backend.distributions.values()]


def check(backend: CloudFrontBackend, document: dict[str, Any], own: str | None) -> None:
    """Refuse a configuration that names what does not exist or is not fit.

    Parameters
    ----------
    backend:
        Of the account.
    document:
        `DistributionConfig` as it was sent.
    own:
        Id of the distribution when it exists already.
    """
    origins = items(document, "Origins")
    behaviours = [document["DefaultCacheBehavior"], *items(document, "CacheBehaviors")]
    for origin in origins:
        if origin.get("S3OriginConfig") is not None and not origin["DomainName"].endswith("amazonaws.com"):
            raise DomainNameNotAnS3Bucket
        control = origin.get("OriginAccessControlId")
        if control and control not in backend.origin_access_controls:
            raise NoSuchOriginAccessControl
    for behaviour in behaviours:
        if behaviour["TargetOriginId"] not in {origin["Id"] for origin in origins}:
            raise OriginDoesNotExist
        for kind in (CACHE_POLICIES, RESPONSE_HEADERS_POLICIES):
            if used := behaviour.get(kind.used_as):
                kind.find(used)
    acl = document.get("WebACLId")
    if acl and not web_acl_exists(acl):
        raise refuse(
            400, "InvalidWebACLId", f"The web ACL {acl} does not exist or is not of scope CLOUDFRONT"
        )
    check_names(backend, document, own)


def check_names(backend: CloudFrontBackend, document: dict[str, Any], own: str | None) -> None:
    """Refuse aliases that are taken, or that the certificate is not for."""
    aliases = set(items(document, "Aliases"))
    for distribution, configuration in configurations(backend):
        taken = aliases & set(items(configuration.__dict__, "Aliases"))
        if distribution.id != own and taken:
            raise refuse(
                409, "CNAMEAlreadyExists", f"{sorted(taken)[0]} is an alias of {distribution.id} already"
            )
    arn = (document.get("ViewerCertificate") or {}).get("ACMCertificateArn")
    if not arn:
        if aliases:
            raise refuse(
                400,
                "InvalidViewerCertificate",
                "To add an alternate domain name you must attach a certificate",
            )
        return
    certificate = acm_backends[backend.account_id]["us-east-1"]._certificates.get(arn)
    if certificate is not None:
        certificate.check()
    if certificate is None or certificate.status != "ISSUED":
        raise refuse(
            400,
            "InvalidViewerCertificate",
            f"The certificate {arn} does not exist in us-east-1, or is not issued",
        )
    covered = {certificate.common_name, *certificate.sans}
    missing = {
        alias for alias in aliases if alias not in covered and f"*.{alias.partition('.')[2]}" not in covered
    }
    if missing:
        raise refuse(
            400, "InvalidViewerCertificate", f"The certificate is not for the alias {sorted(missing)[0]}"
        )


def _create(response: Any, document: dict[str, Any], tags: list[dict[str, str]]) -> ActionResult:
    check(response.backend, document, None)
    distribution, location, version = response.backend.create_distribution_with_tags(document, tags)
    return ActionResult({"Distribution": distribution, "ETag": version, "Location": location})


def create_distribution(response: Any) -> ActionResult:
    """CreateDistribution."""
    return _create(response, response._get_param("DistributionConfig"), [])


def create_distribution_with_tags(response: Any) -> ActionResult:
    """CreateDistributionWithTags."""
    given = response._get_param("DistributionConfigWithTags")
    return _create(response, given["DistributionConfig"], items(given, "Tags"))


def update_distribution(response: Any) -> ActionResult:
    """UpdateDistribution: the whole configuration is replaced, and has a new version."""
    backend, own = response.backend, response._get_param("Id")
    distribution, version = backend.get_distribution(own)
    expect(response, version)
    document = response._get_param("DistributionConfig")
    check(backend, document, own)
    distribution.distribution_config = Configuration(document)
    distribution.etag = identifier()
    return ActionResult(
        {"Distribution": distribution, "ETag": distribution.etag, "Location": distribution.location}
    )


def delete_distribution(response: Any) -> ActionResult:
    """DeleteDistribution: of one that is disabled."""
    distribution, version = response.backend.get_distribution(response._get_param("Id"))
    expect(response, version)
    if distribution.distribution_config.Enabled:
        raise refuse(
            409, "DistributionNotDisabled", "The distribution you are trying to delete has not been disabled."
        )
    del response.backend.distributions[distribution.id]
    return EmptyResult()


def expect(response: Any, version: str) -> None:
    """Refuse a change of something that has another version than the caller believes."""
    given = response._get_param("IfMatch")
    if not given:
        raise InvalidIfMatchVersion
    if given != version:
        raise refuse(412, "PreconditionFailed", "The precondition in If-Match evaluated to false.")


# ---------------------------------------------------------------------- origin access controls


def update_origin_access_control(response: Any) -> ActionResult:
    """UpdateOriginAccessControl: with the version that the caller saw."""
    control = response.backend.get_origin_access_control(response._get_param("Id"))
    expect(response, control.etag)
    control.update(response._get_param("OriginAccessControlConfig"))
    control.etag = identifier()
    document = {"Id": control.id, "OriginAccessControlConfig": control}
    return ActionResult({"OriginAccessControl": document, "ETag": control.etag})


def delete_origin_access_control(response: Any) -> ActionResult:
    """DeleteOriginAccessControl: of one that no distribution uses."""
    control = response.backend.get_origin_access_control(response._get_param("Id"))
    expect(response, control.etag)
    if any(each.uses("OriginAccessControlId", control.id) for _, each in configurations(response.backend)):
        raise refuse(409, "OriginAccessControlInUse", f"Origin access control {control.id} is in use")
    del response.backend.origin_access_controls[control.id]
    return EmptyResult()


# ---------------------------------------------------------------------- policies


class Policies:
    """One kind of policy: created, read, changed, listed, and deleted when nothing uses it.

    Parameters
    ----------
    kind:
        Name in the API, such as `CachePolicy`.
    path:
        In the API's addresses.
    used_as:
        Member of a cache behaviour that names such a policy.
    managed:
        Those that AWS keeps, by id.
    """

    def __init__(
        self, kind: str, path: str, used_as: str, managed: dict[str, dict[str, Any]] | None = None
    ) -> None:
        self.kind = kind
        self.path = path
        self.used_as = used_as
        self._managed = managed or {}
        self._policies: dict[str, dict[str, Any]] = {
            each: self._described(each, configuration) for each, configuration in self._managed.items()
        }

    def actions(self) -> dict[str, Any]:
        """Return the API's actions, by the name of moto's method."""
        noun = {"CachePolicy": "cache_policy", "ResponseHeadersPolicy": "response_headers_policy"}[self.kind]
        several = noun.removesuffix("y") + "ies"

        def bound(method: Any) -> Any:
            return lambda response: method(response)

        return {
            f"create_{noun}": bound(self.create),
            f"get_{noun}": bound(self.get),
            f"get_{noun}_config": bound(self.get_configuration),
            f"update_{noun}": bound(self.update),
            f"delete_{noun}": bound(self.delete),
            f"list_{several}": bound(self.list),
        }

    def _described(self, identity: str, configuration: dict[str, Any]) -> dict[str, Any]:
        return {
            "document": {
                "Id": identity,
                "LastModifiedTime": datetime.now(UTC),
                f"{self.kind}Config": configuration,
            },
            "version": identifier(),
        }

    def _answer(self, policy: dict[str, Any]) -> ActionResult:
        return ActionResult(
            {
                self.kind: policy["document"],
                "ETag": policy["version"],
                "Location": f"https://cloudfront.amazonaws.com/2020-05-31/{self.path}/{policy['document']['Id']}",
            }
        )

    def find(self, identity: str) -> dict[str, Any]:
        """Return a policy.

        Raises
        ------
        Refusal
            There is none of this id.
        """
        if identity not in self._policies:
            raise refuse(404, f"NoSuch{self.kind}", f"The {self.path} {identity} does not exist.")
        return self._policies[identity]

    def _check_name(self, configuration: dict[str, Any], own: str | None) -> None:
        for identity, policy in self._policies.items():
            if identity != own and policy["document"][f"{self.kind}Config"]["Name"] == configuration["Name"]:
                raise refuse(
                    409, f"{self.kind}AlreadyExists", f"{configuration['Name']} is the name of {identity}"
                )

    def create(self, response: Any) -> ActionResult:
        """Create a policy under a new id."""
        configuration = response._get_param(f"{self.kind}Config")
        self._check_name(configuration, None)
        identity = secrets.token_hex(16)
        identity = "-".join((identity[:8], identity[8:12], identity[12:16], identity[16:20], identity[20:]))
        self._policies[identity] = self._described(identity, configuration)
        return self._answer(self._policies[identity])

    def get(self, response: Any) -> ActionResult:
        """Return a policy."""
        return self._answer(self.find(response._get_param("Id")))

    def get_configuration(self, response: Any) -> ActionResult:
        """Return the configuration of a policy."""
        policy = self.find(response._get_param("Id"))
        return ActionResult(
            {f"{self.kind}Config": policy["document"][f"{self.kind}Config"], "ETag": policy["version"]}
        )

    def update(self, response: Any) -> ActionResult:
        """Replace the configuration of a policy."""
        identity = response._get_param("Id")
        expect(response, self._own(identity)["version"])
        configuration = response._get_param(f"{self.kind}Config")
        self._check_name(configuration, identity)
        self._policies[identity] = self._described(identity, configuration)
        return self._answer(self._policies[identity])

    def delete(self, response: Any) -> ActionResult:
        """Delete a policy that no distribution uses."""
        identity = response._get_param("Id")
        expect(response, self._own(identity)["version"])
        if any(each.uses(self.used_as, identity) for _, each in configurations(response.backend)):
            raise refuse(409, f"{self.kind}InUse", f"A distribution uses the {self.path} {identity}")
        del self._policies[identity]
        return EmptyResult()

    def _own(self, identity: str) -> dict[str, Any]:
        if identity in self._managed:
            raise refuse(400, "IllegalUpdate", f"{identity} is AWS's own and stays as it is")
        return self.find(identity)

    def list(self, response: Any) -> ActionResult:
        """List policies: `managed` or `custom` ones, or all."""
        wanted = response._get_param("Type")
        summaries = [
            {"Type": kind, self.kind: policy["document"]}
            for identity, policy in self._policies.items()
            for kind in ("managed" if identity in self._managed else "custom",)
            if wanted in (None, kind)
        ]
        return ActionResult(
            {f"{self.kind}List": {"MaxItems": 100, "Quantity": len(summaries), "Items": summaries}}
        )


def _managed_cache_policy(name: str, least: int, usual: int, most: int) -> dict[str, Any]:
    nothing = {
        "HeadersConfig": {"HeaderBehavior": "none"},
        "CookiesConfig": {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
    }
    accept = {"EnableAcceptEncodingGzip": most > 0, "EnableAcceptEncodingBrotli": most > 0}
    return {
        "Name": name,
        "MinTTL": least,
        "DefaultTTL": usual,
        "MaxTTL": most,
        "ParametersInCacheKeyAndForwardedToOrigin": accept | nothing,
    }


CACHE_POLICIES = Policies(
    "CachePolicy",
    "cache-policy",
    "CachePolicyId",
    {identity: _managed_cache_policy(*values) for identity, values in MANAGED_CACHE_POLICIES.items()},
)
RESPONSE_HEADERS_POLICIES = Policies(
    "ResponseHeadersPolicy", "response-headers-policy", "ResponseHeadersPolicyId"
)
