"""The role that a job acts as: may it be assumed, and what may it do.

True: the trust policy must let `batchoperations.s3.amazonaws.com` assume the role; every call needs that
neither the bucket's policy denies it nor both, the role's own policies and the bucket's policy, stay silent.
Not exact: an explicit Deny in the role's own policies does not win over an Allow in the bucket's policy.
"""

from collections.abc import Mapping

from moto.iam.models import iam_backends
from moto.s3.models import FakeBucket

from localaws.policies import allowed_by_role, document, evaluate
from localaws.principals import Principal
from localaws.s3.access import decide
from localaws.s3control.jobs import Job, JobFailure

SERVICE = "batchoperations.s3.amazonaws.com"
CONTEXT: Mapping[str, str] = {"aws:securetransport": "true", "s3:tlsversion": "1.3"}


class ActingRole:
    """A session of the role of a job.

    Parameters
    ----------
    job:
        Whose role is assumed.

    Raises
    ------
    JobFailure
        The role does not exist or does not trust S3 Batch Operations.
    """

    def __init__(self, job: Job) -> None:
        self.arn: str = job.request["RoleArn"]
        parts = self.arn.split(":")
        roles = list(iam_backends[parts[4]][parts[1]].roles.values())
        role = next((role for role in roles if role.arn == self.arn), None)
        if role is None or not _trusts(role.assume_role_policy_document, job):
            why = "does not exist" if role is None else f"does not let {SERVICE} assume it (trust policy)"
            raise JobFailure("RoleAssumptionFailed", f"The role {self.arn} {why}.")
        session = f"arn:aws:sts::{parts[4]}:assumed-role/{role.name}/s3-batch-operations-{job.job_id}"
        self.session = Principal("role", session, self.arn)

    def may(self, action: str, bucket: FakeBucket, key: str | None = None) -> bool:
        """Return whether the role may do something to a bucket or one of its objects.

        Parameters
        ----------
        action:
            Such as `GetObject`.
        bucket, key:
            The object; without a key the bucket itself.
        """
        resource = bucket.arn if key is None else f"{bucket.arn}/{key}"
        decision = decide(bucket, action, resource, self.session)
        if decision == "Deny":
            return False
        return allowed_by_role(self.arn, f"s3:{action}", resource, CONTEXT) or decision == "Allow"


def _trusts(policy: str, job: Job) -> bool:
    trust = document(policy)
    statements = trust["Statement"] if isinstance(trust["Statement"], list) else [trust["Statement"]]
    # A trust policy names no resource: it is the role's own.
    about_everything = {"Statement": [{**statement, "Resource": "*"} for statement in statements]}
    context = {**CONTEXT, "aws:sourceaccount": job.account, "aws:sourcearn": job.arn}
    caller = Principal("service", SERVICE)
    return (
        evaluate(about_everything, principal=caller, action="sts:AssumeRole", resource="*", context=context)
        == "Allow"
    )
