"""Rules that the synthesised stack keeps, whatever it holds."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orchestrator.stack import RUNBOOKS
from orchestrator.steps import STEPS
from tests.infrastructure.conftest import ROOT, Assembly

pytestmark = pytest.mark.filterwarnings("ignore")


def statements(assembly: Assembly) -> list[tuple[str, dict[str, Any]]]:
    """Return every statement of every role, with the role's logical id."""
    return [
        (name, statement)
        for name, documents in policies(assembly).items()
        for document in documents
        for statement in document["Statement"]
    ]


def policies(assembly: Assembly) -> dict[str, list[dict[str, Any]]]:
    """Return the documents of every role by its logical id, those of its managed policies too."""
    managed = assembly.resources("AWS::IAM::ManagedPolicy")
    return {
        name: [policy["PolicyDocument"] for policy in role["Properties"].get("Policies", [])]
        + [
            managed[arn["Ref"]]["Properties"]["PolicyDocument"]
            for arn in role["Properties"].get("ManagedPolicyArns", [])
        ]
        for name, role in assembly.resources("AWS::IAM::Role").items()
    }


def test_every_role_stays_within_the_quotas_of_iam(assembly: Assembly) -> None:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, white space is not counted
    values = {"AWS::AccountId": "123456789012", "AWS::Region": "ap-southeast-1", "AWS::Partition": "aws"}

    def written(value: Any) -> Any:
        match value:
            case {"Ref": name}:
                return values.get(name, "x" * 60)
            case {"Fn::Join": [separator, parts]}:
                return separator.join(written(part) for part in parts)
            case dict() if any(key.startswith("Fn::") for key in value):
                return "x" * 100
            case dict():
                return {key: written(item) for key, item in value.items()}
            case list():
                return [written(item) for item in value]
        return value

    def length(document: dict[str, Any]) -> int:
        return len(json.dumps(written(document), separators=(",", ":")))

    for name, role in assembly.resources("AWS::IAM::Role").items():
        inside = [policy["PolicyDocument"] for policy in role["Properties"].get("Policies", [])]
        assert sum(map(length, inside)) <= 10_240, name
        assert len(role["Properties"].get("ManagedPolicyArns", [])) <= 10, name
    for name, policy in assembly.resources("AWS::IAM::ManagedPolicy").items():
        assert length(policy["Properties"]["PolicyDocument"]) <= 6_144, name


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str:
    """Write a resolved value as one string, references as their names."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(text(part) for part in parts)
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Sub": template}:
            return str(template)
    return str(value)


# ------------------------------------------------------------------ the whole


def test_cdk_nag_finds_nothing_that_is_not_acknowledged(assembly: Assembly) -> None:
    assert assembly.failure is None
    findings = [
        (violation["ruleName"], violation["description"])
        for report in assembly.report["pluginReports"]
        for violation in report["violations"]
    ]
    assert findings == []


def test_every_acknowledgement_sits_on_a_construct_with_a_reason(assembly: Assembly) -> None:
    # Given what is acknowledged
    acknowledged = [
        (path, rule, reason)
        for path, entries in assembly.metadata.items()
        for entry in entries
        if entry["type"] == "aws:cdk:acknowledged-rules"
        for rule, reason in entry["data"].items()
    ]
    assert acknowledged
    for path, rule, reason in acknowledged:
        # Then it is inside the stack, one finding at a time, and says why in a sentence
        assert path.count("/") > 1, rule
        assert rule != "Annotation::AwsSolutions-IAM5", path
        assert len(reason.split()) > 5, (path, rule)


def test_nothing_needs_a_custom_resource(assembly: Assembly) -> None:
    kinds = {resource["Type"] for resource in assembly.template["Resources"].values()}
    assert not {kind for kind in kinds if kind.startswith(("Custom::", "AWS::CloudFormation::"))}


def test_account_and_region_are_known_to_cloudformation_only(assembly: Assembly) -> None:
    written = json.dumps(assembly.template)
    assert "123456789012" not in written and "us-east-1" not in written


# ------------------------------------------------------------------ roles


def test_every_function_has_its_own_role(assembly: Assembly) -> None:
    roles = Counter(text(each["Role"]) for each in assembly.properties("AWS::Lambda::Function"))
    assert set(roles.values()) == {1}


def test_every_state_machine_has_its_own_role(assembly: Assembly) -> None:
    roles = Counter(text(each["RoleArn"]) for each in assembly.properties("AWS::StepFunctions::StateMachine"))
    assert set(roles.values()) == {1}


def test_no_statement_allows_everything_on_everything(assembly: Assembly) -> None:
    for role, statement in statements(assembly):
        actions = as_list(statement["Action"])
        assert "*" not in actions, role
        if "*" in as_list(statement["Resource"]):
            assert not [action for action in actions if action.endswith(":*")], role


def test_no_action_has_a_wildcard(assembly: Assembly) -> None:
    wildcards = [
        (role, action)
        for role, statement in statements(assembly)
        for action in as_list(statement["Action"])
        if "*" in action
    ]
    assert wildcards == []


# What changes something and has no name of ours in its resource; each statement gives the reason.
NAMELESS = {
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
    *("logs:CreateLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery", "logs:PutResourcePolicy"),
    "ecs:DeregisterTaskDefinition",
    *("secretsmanager:CreateSecret", "secretsmanager:TagResource"),
}


def test_a_wildcard_stays_inside_the_environments_names_or_under_a_condition(assembly: Assembly) -> None:
    # Given the statements that change something
    reading = ("Describe", "List", "Get", "BatchGet")
    seen = set()
    for role, statement in statements(assembly):
        changes = {
            action for action in as_list(statement["Action"]) if not action.split(":")[1].startswith(reading)
        }
        for resource in map(text, as_list(statement["Resource"])):
            named = (
                "know-me-staging" in resource or "know-me/staging" in resource or ":og:default:" in resource
            )
            # When a resource has a wildcard and neither a name of ours nor a condition
            if "*" in resource and not named and "Condition" not in statement:
                # Then the action is one of the few that have no better resource
                assert changes <= NAMELESS, role
                seen |= changes
    assert seen == NAMELESS


def test_a_role_serves_this_account_only(assembly: Assembly) -> None:
    for role in assembly.properties("AWS::IAM::Role"):
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}


def test_terraform_cannot_touch_the_orchestrators_own_roles(assembly: Assembly) -> None:
    # Given the roles of the orchestrator, which have a path of their own
    assert {role["Path"] for role in assembly.properties("AWS::IAM::Role")} == {
        "/know-me/staging/orchestrator/"
    }
    # When Terraform may do something to roles, then they have none
    for role, statement in statements(assembly):
        iam = [action for action in as_list(statement["Action"]) if action.startswith("iam:")]
        if iam and role.startswith("Terraform"):
            for resource in map(text, as_list(statement["Resource"])):
                assert "role/know-me-staging-" in resource or "role/aws-service-role/" in resource


def test_roles_are_passed_to_named_services_only(assembly: Assembly) -> None:
    for role, statement in statements(assembly):
        if "iam:PassRole" in as_list(statement["Action"]):
            assert statement["Condition"]["StringEquals"]["iam:PassedToService"], role


def test_nobody_may_stop_terraform(assembly: Assembly) -> None:
    # Terraform that is killed half way leaves its state behind what exists.
    for role, statement in statements(assembly):
        resources = [text(resource) for resource in as_list(statement["Resource"])]
        if "codebuild:StopBuild" in as_list(statement["Action"]):
            assert not [
                resource for resource in resources if resource.endswith("know-me-staging-terraform")
            ], role
        if "states:StopExecution" in as_list(statement["Action"]):
            assert not [resource for resource in resources if "-provision:" in resource], role


def test_nobody_reads_or_writes_a_bucket_that_is_not_of_the_environment(assembly: Assembly) -> None:
    # Given the statements on S3 of every role but Terraform's, which makes the buckets
    for role, statement in statements(assembly):
        on_s3 = [text(each) for each in as_list(statement["Resource"]) if ":s3:::" in text(each)]
        if role.startswith("Terraform"):
            continue
        # Then each is on a run folder, or on the media of this environment and account
        for resource in on_s3:
            name = resource.split(":::")[1]
            assert name in (
                "know-me-staging-artifacts-<AWS::AccountId>",
                "know-me-staging-artifacts-<AWS::AccountId>/runs/*",
                "know-me-staging-media-*-<AWS::AccountId>",
                "know-me-staging-media-*-<AWS::AccountId>/*",
            ), role


def test_who_writes_media_objects_may_use_the_environments_key_through_s3(assembly: Assembly) -> None:
    # Given the roles that put objects into media buckets, and those that may use a key
    writing, using = set(), set()
    for role, statement in statements(assembly):
        if role.startswith("Terraform"):
            continue
        if "s3:PutObject" in as_list(statement["Action"]) and any(
            "-media-" in text(each) for each in as_list(statement["Resource"])
        ):
            writing.add(role)
        if "kms:GenerateDataKey" in as_list(statement["Action"]):
            using.add(role)
            conditions = statement["Condition"]["StringEquals"]
            assert text(conditions["kms:ViaService"]) == "s3.<AWS::Region>.amazonaws.com"
            assert conditions["aws:ResourceTag/Environment"] == "staging"
    # Then they are the same
    assert writing and writing == using


def test_only_the_steps_that_fence_change_a_buckets_policy(assembly: Assembly) -> None:
    changing = {
        role
        for role, statement in statements(assembly)
        for action in as_list(statement["Action"])
        if action in ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy") and not role.startswith("Terraform")
    }
    assert {role.partition("Role")[0] for role in changing} == {"StopMediaWrites", "AllowMediaWrites"}


# ------------------------------------------------------------------ logs, storage, messages


def test_every_log_group_has_a_retention_and_leaves_with_the_stack(assembly: Assembly) -> None:
    for group in assembly.resources("AWS::Logs::LogGroup").values():
        assert group["Properties"]["RetentionInDays"] == 90
        assert group["DeletionPolicy"] == "Delete"


def test_every_function_logs_as_json_into_its_own_group(assembly: Assembly) -> None:
    groups = Counter()
    for function in assembly.properties("AWS::Lambda::Function"):
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        groups[text(function["LoggingConfig"]["LogGroup"])] += 1
    assert set(groups.values()) == {1}


def test_every_bucket_is_closed_encrypted_versioned_and_kept(assembly: Assembly) -> None:
    buckets = assembly.resources("AWS::S3::Bucket")
    assert len(buckets) == 2
    for bucket in buckets.values():
        properties = bucket["Properties"]
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"


def test_every_bucket_is_reached_with_tls_only(assembly: Assembly) -> None:
    policies = assembly.properties("AWS::S3::BucketPolicy")
    assert {text(policy["Bucket"]) for policy in policies} == {
        f"<{name}>" for name in assembly.resources("AWS::S3::Bucket")
    }
    for policy in policies:
        denied = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in [each["Condition"] for each in denied]


def test_the_lock_table_can_be_recovered_to_any_moment(assembly: Assembly) -> None:
    (table,) = assembly.properties("AWS::DynamoDB::Table")
    assert table["TableName"] == "know-me-staging-lock"
    assert table["KeySchema"] == [{"AttributeName": "environment", "KeyType": "HASH"}]
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_topic_and_queue_are_encrypted_and_reached_with_tls_only(assembly: Assembly) -> None:
    (topic,), (queue,) = assembly.properties("AWS::SNS::Topic"), assembly.properties("AWS::SQS::Queue")
    assert topic["KmsMasterKeyId"] and queue["SqsManagedSseEnabled"] is True
    for kind in ("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"):
        (policy,) = assembly.properties(kind)
        conditions = [each.get("Condition", {}) for each in policy["PolicyDocument"]["Statement"]]
        assert {"Bool": {"aws:SecureTransport": "false"}} in conditions


# ------------------------------------------------------------------ names (contracts, section 1)


def test_names_are_those_of_the_contracts(assembly: Assembly) -> None:
    functions = {each["FunctionName"] for each in assembly.properties("AWS::Lambda::Function")}
    assert functions == {f"know-me-staging-{step.kebab_name}" for step in STEPS}
    machines = {each["StateMachineName"] for each in assembly.properties("AWS::StepFunctions::StateMachine")}
    assert machines == {f"know-me-staging-{name}" for name in RUNBOOKS}
    assert {text(each["BucketName"]) for each in assembly.properties("AWS::S3::Bucket")} == {
        "know-me-staging-artifacts-<AWS::AccountId>",
        "know-me-staging-state-<AWS::AccountId>",
    }
    (project,) = assembly.properties("AWS::CodeBuild::Project")
    assert project["Name"] == "know-me-staging-terraform"
    (topic,) = assembly.properties("AWS::SNS::Topic")
    assert topic["TopicName"] == "know-me-staging-notifications"


def test_steps_and_modules_are_the_same() -> None:
    modules = {path.stem for path in (ROOT / "lambdas").glob("*.py")}
    assert {step.module for step in STEPS} == modules


def test_every_function_runs_its_own_handler_with_the_settings_of_the_contracts(assembly: Assembly) -> None:
    for function in assembly.properties("AWS::Lambda::Function"):
        kebab = function["FunctionName"].removeprefix("know-me-staging-")
        assert function["Handler"] == f"{kebab.replace('-', '_')}.lambda_handler"
        assert set(function["Environment"]["Variables"]) == {
            "ENVIRONMENT",
            "ARTIFACTS_BUCKET",
            "LOCK_TABLE",
            "NOTIFICATION_TOPIC_ARN",
            "STATE_MACHINE_ARN_PREFIX",
            "EXECUTION_ARN_PREFIX",
            "DATABASE_JOBS_BUILD",
            "MEDIA_JOBS_BUILD",
            "TERRAFORM_BUILD",
            "SINGLE_COPY_LIMIT_BYTES",
            "POWERTOOLS_SERVICE_NAME",
            "POWERTOOLS_METRICS_NAMESPACE",
            "LOG_LEVEL",
        }
        assert function["TracingConfig"] == {"Mode": "Active"}


def test_the_build_is_told_what_the_contracts_say(assembly: Assembly) -> None:
    (project,) = assembly.properties("AWS::CodeBuild::Project")
    variables = {each["Name"]: each["Value"] for each in project["Environment"]["EnvironmentVariables"]}
    assert variables["ENVIRONMENT"] == variables["TF_VAR_environment"] == "staging"
    assert variables["GENERATIONS_PARAMETER"] == "/know-me/staging/generations"
    assert json.loads(variables["BACKEND_CONFIG"]) == {"use_path_style": True}
    # Strings as they are, everything else as JSON, which is how Terraform reads TF_VAR_*
    assert variables["TF_VAR_api_image"] == "example:1"
    assert variables["TF_VAR_api_maximum_tasks"] == "4"
    assert variables["TF_VAR_deletion_protection"] == "false"
    location = text(variables["TF_VAR_database_jobs_source"])
    assert location == text(project["Source"]["Location"])
    assert project["Source"]["BuildSpec"] == "codebuild/terraform.buildspec.yml"


# ------------------------------------------------------------------ assets


def names_in(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def asset(assembly: Assembly, display_name: str) -> set[str]:
    return names_in(assembly.assets[display_name])


def test_the_bundle_holds_terraform_and_the_jobs_and_no_leftovers(assembly: Assembly) -> None:
    names = asset(assembly, "Terraform/Bundle")
    assert {name.split("/")[0] for name in names} == {"terraform", "codebuild", "requirements.txt"}
    assert {
        "terraform/main.tf",
        "terraform/.terraform.lock.hcl",
        "codebuild/terraform.buildspec.yml",
    } <= names
    leftovers = (".terraform/", "__pycache__", ".tfstate", "tests/", ".tftest.hcl", "_cache/", ".tfplan")
    assert [name for name in names if any(word in name for word in leftovers)] == []


def test_the_functions_hold_the_steps_and_no_leftovers(assembly: Assembly) -> None:
    names = asset(assembly, "ValidateProvision/Function/Code")
    assert {f"{step.module}.py" for step in STEPS} <= names
    assert "know_me/__init__.py" in names
    leftovers = ("__pycache__", "_cache/", "tests/", "requirements.in", "README")
    assert [name for name in names if any(word in name for word in leftovers)] == []


# ------------------------------------------------------------------ the safety net


def test_a_migration_that_ends_badly_is_returned(assembly: Assembly) -> None:
    # Given the only rule of the stack
    (rule,) = assembly.properties("AWS::Events::Rule")
    # When a migrate execution fails, times out or is stopped
    (migrate,) = [
        name
        for name, machine in assembly.resources("AWS::StepFunctions::StateMachine").items()
        if machine["Properties"]["StateMachineName"] == "know-me-staging-migrate"
    ]
    assert rule["EventPattern"] == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [{"Ref": migrate}]},
    }
    assert rule["State"] == "ENABLED"
    # Then return starts with the name of the execution as run id; what cannot be delivered is kept
    (target,) = rule["Targets"]
    (path_name,) = target["InputTransformer"]["InputPathsMap"]
    assert target["InputTransformer"] == {
        "InputPathsMap": {path_name: "$.detail.name"},
        "InputTemplate": f'{{"run_id":<{path_name}>}}',
    }
    assert "ReturnRunbook" in text(target["Arn"])
    assert target["DeadLetterConfig"]["Arn"] and target["RetryPolicy"]["MaximumRetryAttempts"] > 0
