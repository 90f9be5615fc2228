"""What policies say about calls, and bucket policies that refuse them."""

import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from localaws.policies import arn_like, condition_matches, evaluate, like
from localaws.principals import ANONYMOUS, Principal

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/know-me/staging/orchestrator/step"
SESSION = Principal("role", f"arn:aws:sts::{ACCOUNT}:assumed-role/step/session", ROLE)
ADMINISTRATOR = Principal("administrator", f"arn:aws:iam::{ACCOUNT}:user/administrator")
SERVICE = Principal("service", "logging.s3.amazonaws.com")


def statement(**changes: Any) -> dict[str, Any]:
    return {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"} | changes


def said(
    statements: Any, principal: Principal = ADMINISTRATOR, action: str = "s3:GetObject", **context: str
) -> str:
    resource = "arn:aws:s3:::bucket/key"
    return evaluate(
        {"Statement": statements}, principal=principal, action=action, resource=resource, context=context
    )


@given(st.text(max_size=5), st.text(alphabet="ab*?[]!", max_size=5))
def test_negated_operator_is_the_opposite(actual: str, wanted: str) -> None:
    for operator in ("Equals", "Like", "EqualsIgnoreCase"):
        positive, negative = (
            condition_matches(f"String{no}{operator}", "K", wanted, {"k": actual}) for no in ("", "Not")
        )
        assert positive != negative


def test_brackets_in_a_pattern_are_themselves() -> None:
    assert like("a[b]c", "a[b]*")
    assert not like("abc", "a[b]*")


def test_star_of_an_arn_does_not_reach_over_a_colon() -> None:
    assert arn_like("arn:aws:iam::1:role/a/b", "arn:aws:iam::*:role/*")
    assert not arn_like("arn:aws:iam::1:role/a", "arn:aws:*:role/a")


def test_missing_key_fails_positive_and_passes_negated_and_if_exists() -> None:
    assert not condition_matches("StringEquals", "k", "v", {})
    assert condition_matches("StringNotEquals", "k", "v", {})
    assert condition_matches("StringEqualsIfExists", "k", "v", {})
    assert condition_matches("Null", "k", "true", {})
    assert not condition_matches("Null", "k", "true", {"k": "v"})


@pytest.mark.parametrize("operator", ["DateLessThan", "ForAllValues:StringEquals", "IpAddressIfExists"])
@pytest.mark.parametrize("context", [{}, {"k": "v"}])
def test_unknown_operator_is_refused_and_not_ignored(operator: str, context: dict[str, str]) -> None:
    with pytest.raises(NotImplementedError, match=operator):
        condition_matches(operator, "k", "v", context)


@pytest.mark.parametrize(
    "unknown",
    [{"NotPrincipal": {"AWS": "*"}}, {"Principal": {"CanonicalUser": "x"}}, {"Resource": "${aws:userid}"}],
)
def test_unknown_element_is_refused_and_not_ignored(unknown: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        said(statement(**unknown))


def test_deny_goes_before_allow() -> None:
    allow, deny = statement(Effect="Allow", Action="s3:Get*"), statement(Action="S3:getobject")
    assert said([allow, deny]) == "Deny"
    assert said(allow) == "Allow"
    assert said(allow, action="s3:PutObject") == "Neutral"


def test_not_action_and_not_resource_are_everything_else() -> None:
    assert said(statement(Action=None, NotAction="s3:Put*")) == "Deny"
    assert said(statement(Resource=None, NotResource="arn:aws:s3:::bucket/*")) == "Neutral"


@pytest.mark.parametrize(
    ("principal", "concerned"),
    [
        ({"AWS": "*"}, {ADMINISTRATOR, SESSION, ANONYMOUS}),
        ({"AWS": [ROLE]}, {SESSION}),
        ({"AWS": SESSION.arn}, {SESSION}),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, {ADMINISTRATOR, SESSION}),
        ({"AWS": ACCOUNT}, {ADMINISTRATOR, SESSION}),
        ({"AWS": "arn:aws:iam::210987654321:root"}, set()),
        ({"Service": [SERVICE.arn, "x.amazonaws.com"]}, {SERVICE}),
    ],
)
def test_principal_says_whom_a_statement_concerns(principal: Any, concerned: set[Principal]) -> None:
    denied = {
        one
        for one in (ADMINISTRATOR, SESSION, ANONYMOUS, SERVICE)
        if said(statement(Principal=principal), one) == "Deny"
    }
    assert denied == concerned


def test_account_that_is_allowed_leaves_the_decision_to_its_own_policies() -> None:
    assert said(statement(Effect="Allow", Principal={"AWS": ACCOUNT}), SESSION) == "Neutral"


def test_fence_lets_the_sessions_of_named_roles_through_and_nobody_else_not_even_the_administrator() -> None:
    pattern = f"arn:aws:iam::{ACCOUNT}:role/know-me/staging/orchestrator/*"
    fence = statement(Action="s3:PutObject", Condition={"ArnNotLike": {"aws:PrincipalArn": [pattern]}})
    verdicts = {one: said(fence, one, "s3:PutObject") for one in (SESSION, ADMINISTRATOR, ANONYMOUS)}
    assert verdicts == {SESSION: "Neutral", ADMINISTRATOR: "Deny", ANONYMOUS: "Deny"}


# -- on the local AWS --------------------------------------------------------------------------------------


@pytest.fixture
def bucket(local_aws: Any) -> str:
    """A bucket with one object, `a`."""
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a", Body=b"1")
    return name


def session_of(local_aws: Any, role: str) -> Any:
    """Return an S3 client with a session of a role."""
    found = local_aws.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return local_aws.client(
        "s3",
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
    )


def put_policy(local_aws: Any, bucket: str, **changes: Any) -> None:
    said = statement(Resource=f"arn:aws:s3:::{bucket}/*") | changes
    local_aws.client("s3").put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [said]})
    )


def refused(call: Any, **arguments: Any) -> str | None:
    """Return the code of the error that a call answers."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None


@pytest.mark.local
def test_deny_on_one_object_for_one_role_denies_that_role_that_object(local_aws: Any, bucket: str) -> None:
    role = local_aws.all_powerful_role("lambda.amazonaws.com")
    session, administrator = session_of(local_aws, role), local_aws.client("s3")
    administrator.put_object(Bucket=bucket, Key="b", Body=b"1")
    put_policy(local_aws, bucket, Principal={"AWS": role}, Resource=f"arn:aws:s3:::{bucket}/a")
    assert refused(session.get_object, Bucket=bucket, Key="a") == "AccessDenied"
    assert refused(session.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/a") == "AccessDenied"
    assert refused(session.get_object, Bucket=bucket, Key="b") is None
    assert refused(administrator.get_object, Bucket=bucket, Key="a") is None


@pytest.mark.local
def test_fence_refuses_writes_of_everybody_else_and_only_writes(local_aws: Any, bucket: str) -> None:
    role = local_aws.all_powerful_role("lambda.amazonaws.com")
    session, administrator = session_of(local_aws, role), local_aws.client("s3")
    writes = ["s3:PutObject", "s3:PutObjectTagging", "s3:DeleteObject", "s3:DeleteObjectTagging"]
    put_policy(local_aws, bucket, Action=writes, Condition={"ArnNotLike": {"aws:PrincipalArn": [role]}})
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("put_object", {}),
        ("copy_object", {"CopySource": f"{bucket}/a", "MetadataDirective": "REPLACE"}),
        ("create_multipart_upload", {}),
        ("put_object_tagging", {"Tagging": tags}),
        ("delete_object_tagging", {}),
        ("delete_object", {}),
    ]
    for name, arguments in calls:
        assert refused(getattr(administrator, name), Bucket=bucket, Key="a", **arguments) == "AccessDenied", (
            name
        )
    answer = administrator.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}]})
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    assert refused(administrator.get_object, Bucket=bucket, Key="a") is None
    for name, arguments in calls:
        assert refused(getattr(session, name), Bucket=bucket, Key="a", **arguments) is None, name


@pytest.mark.local
def test_reading_tags_to_copy_them_needs_permission_for_tags(local_aws: Any, bucket: str) -> None:
    s3 = local_aws.client("s3")
    s3.put_object(Bucket=bucket, Key="tagged", Body=b"1", Tagging="k=v")
    put_policy(local_aws, bucket, Action="s3:GetObjectTagging")
    assert refused(s3.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/tagged") == "AccessDenied"
    assert refused(s3.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/a") is None


@pytest.mark.local
def test_listing_can_be_denied(local_aws: Any, bucket: str) -> None:
    s3 = local_aws.client("s3")
    put_policy(local_aws, bucket, Action="s3:ListBucket", Resource=f"arn:aws:s3:::{bucket}")
    assert refused(s3.list_objects_v2, Bucket=bucket) == "AccessDenied"


@pytest.mark.local
def test_role_is_allowed_what_its_policies_allow_and_no_deny_takes_back() -> None:
    import boto3
    from moto import mock_aws

    from localaws.policies import allowed_by_role

    with mock_aws():
        iam = boto3.client("iam", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        role = iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        allow = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}],
        }
        managed = iam.create_policy(PolicyName="p", PolicyDocument=json.dumps(allow))["Policy"]["Arn"]
        assert not allowed_by_role(role, "s3:GetObject", "arn:aws:s3:::b/a", {})
        iam.attach_role_policy(RoleName="r", PolicyArn=managed)
        assert allowed_by_role(role, "s3:GetObject", "arn:aws:s3:::b/a", {})
        deny = {"Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::b/secret*"}}
        iam.put_role_policy(
            RoleName="r", PolicyName="i", PolicyDocument=json.dumps(deny | {"Version": "2012-10-17"})
        )
        assert allowed_by_role(role, "s3:GetObject", "arn:aws:s3:::b/a", {})
        assert not allowed_by_role(role, "s3:GetObject", "arn:aws:s3:::b/secret", {})
        assert not allowed_by_role(role + "x", "s3:GetObject", "arn:aws:s3:::b/a", {})
