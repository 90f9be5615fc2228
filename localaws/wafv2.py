"""WAF (version 2): web ACLs, what they stand before, and their logging, as they were given.

True: a web ACL is read back as it was written; one that stands before a load balancer or a distribution
cannot be deleted; a resource has one web ACL at a time; the resource must exist, and a log group's name must
begin with `aws-waf-logs-`. Not true: no request is looked at, so nothing is blocked, counted or logged.
"""

from typing import Any

from moto.cloudfront.models import cloudfront_backends
from moto.core.exceptions import JsonRESTError
from moto.elbv2.models import elbv2_backends
from moto.wafv2.models import WAFV2Backend, wafv2_backends

from localaws.runtime import Runtime

LOG_GROUP_PREFIX = "aws-waf-logs-"


def install(runtime: Runtime) -> None:  # noqa: ARG001 - every module has the same door
    """Make WAF keep its word about what is in use: called once, before the first request."""
    stock = {name: getattr(WAFV2Backend, name) for name in ("associate_web_acl", "delete_web_acl")}
    put_logging = WAFV2Backend.put_logging_configuration

    def associate_web_acl(backend: WAFV2Backend, web_acl_arn: str, resource_arn: str) -> None:
        if not load_balancer_exists(resource_arn):
            raise JsonRESTError("WAFNonexistentItemException", f"There is no resource {resource_arn}")
        backend.disassociate_web_acl(resource_arn)  # the new one takes the place of the old one
        stock["associate_web_acl"](backend, web_acl_arn, resource_arn)

    def delete_web_acl(backend: WAFV2Backend, name: str, scope: str, _id: str, lock_token: str) -> None:
        acl = backend.get_web_acl(None, name, _id)
        before = [arn for arn in acl.associated_resources if load_balancer_exists(arn)]
        before += distributions_behind(acl.arn)
        if before:
            raise JsonRESTError(
                "WAFAssociatedItemException",
                f"WAF couldn't perform the operation because {acl.arn} stands before {', '.join(before)}",
            )
        backend.logging_configurations.pop(acl.arn, None)
        stock["delete_web_acl"](backend, name, scope, _id, lock_token)

    def put_logging_configuration(
        backend: WAFV2Backend, arn: str, log_destination_configs: list[str], *further: Any
    ) -> Any:
        for destination in log_destination_configs:
            if ":log-group:" in destination and f":log-group:{LOG_GROUP_PREFIX}" not in destination:
                raise JsonRESTError(
                    "WAFInvalidParameterException", f"The log group must be called {LOG_GROUP_PREFIX}…"
                )
        return put_logging(backend, arn, log_destination_configs, *further)

    WAFV2Backend.associate_web_acl = associate_web_acl
    WAFV2Backend.delete_web_acl = delete_web_acl
    WAFV2Backend.put_logging_configuration = put_logging_configuration


def load_balancer_exists(arn: str) -> bool:
    """Return whether a load balancer of this ARN exists."""
    region, account = arn.split(":")[3:5]
    return arn in elbv2_backends[account][region].load_balancers


def web_acl_exists(arn: str) -> bool:
    """Return whether there is a web ACL of this ARN, of scope CLOUDFRONT."""
    return ":global/webacl/" in arn and any(
        arn in backend.wacls for _, _, backend in list(wafv2_backends.iter_backends())
    )


def distributions_behind(arn: str) -> list[str]:
    """Return the ids of the distributions that name a web ACL."""
    return [
        distribution.id
        for _, _, backend in list(cloudfront_backends.iter_backends())
        for distribution in backend.distributions.values()
        if getattr(distribution.distribution_config, "WebACLId", None) == arn
    ]
