"""Rules that the synthesised stack keeps, whatever it holds."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orchestrator.stack import RUNBOOKS
from orchestrator.steps import STEPS
from tests.infrastructure.conftest import ROOT, Assembly, assemble

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
    # CloudFront's certificates and firewalls are in that region whatever the environment's own is.
    for service in ("acm", "logs", "wafv2"):
        written = written.replace(f":{service}:us-east-1:", "")
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
    # CloudFront chooses the ids of these and gives them no tags; WAF's managed rules are AWS's own.
    *(
        f"cloudfront:{verb}{kind}"
        for kind in ("CachePolicy", "OriginAccessControl", "ResponseHeadersPolicy")
        for verb in ("Create", "Delete", "Update")
    ),
    *("wafv2:CreateWebACL", "wafv2:UpdateWebACL"),
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
                "know-me-staging-artifacts-<AWS::AccountId>/bundles/*",
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


def test_labels_of_the_application_secret_are_moved_by_one_step_and_its_value_is_read_by_none(
    assembly: Assembly,
) -> None:
    # Given every statement of a function that reaches the secret
    reaching = [
        (name, action, text(resource))
        for name, statement in statements(assembly)
        if not name.startswith("Terraform") and statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
        if action.startswith("secretsmanager:")
        for resource in as_list(statement["Resource"])
        if not text(resource).endswith(":secret:know-me/staging/approval-key-??????")  # has rules of its own
    ]
    # Then it is that secret's labels, and one step moves them
    assert {action for _, action, _ in reaching} == {
        "secretsmanager:DescribeSecret",
        "secretsmanager:UpdateSecretVersionStage",
    }
    assert all(
        resource.endswith(":secret:know-me/staging/database/application-??????") for *_, resource in reaching
    )
    movers = {name for name, action, _ in reaching if action == "secretsmanager:UpdateSecretVersionStage"}
    assert {name.partition("Role")[0] for name in movers} == {"PointApplication"}


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


def test_every_table_can_be_recovered_to_any_moment(assembly: Assembly) -> None:
    tables = {table["TableName"]: table for table in assembly.properties("AWS::DynamoDB::Table")}
    assert {name: table["KeySchema"] for name, table in tables.items()} == {
        "know-me-staging-lock": [{"AttributeName": "environment", "KeyType": "HASH"}],
        "know-me-staging-approvals": [{"AttributeName": "run_id", "KeyType": "HASH"}],
    }
    for table in tables.values():
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_topic_and_queues_are_encrypted_and_reached_with_tls_only(assembly: Assembly) -> None:
    (topic,), queues = assembly.properties("AWS::SNS::Topic"), assembly.properties("AWS::SQS::Queue")
    assert topic["KmsMasterKeyId"] and all(queue["SqsManagedSseEnabled"] is True for queue in queues)
    assert {queue["QueueName"] for queue in queues} == {
        "know-me-staging-return-undelivered",
        "know-me-staging-provision-undelivered",
        "know-me-staging-schema-migration-undelivered",
    }
    policies = [
        policy
        for kind in ("AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy")
        for policy in assembly.properties(kind)
    ]
    assert len(policies) == 1 + len(queues)
    for policy in policies:
        conditions = [each.get("Condition", {}) for each in policy["PolicyDocument"]["Statement"]]
        assert {"Bool": {"aws:SecureTransport": "false"}} in conditions


def test_alarms_of_the_environment_may_publish_to_the_topic(assembly: Assembly) -> None:
    # Given that CloudWatch publishes under its own name, with the key of the topic
    (key,) = assembly.properties("AWS::KMS::Key")
    (policy,) = assembly.properties("AWS::SNS::TopicPolicy")
    for document, actions in (
        (policy["PolicyDocument"], "sns:Publish"),
        (key["KeyPolicy"], ["kms:Decrypt", "kms:GenerateDataKey*"]),
    ):
        # When its statements are looked for
        found = [
            each
            for each in document["Statement"]
            if each["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        ]
        # Then it may, for alarms of this environment and account only
        assert [each["Action"] for each in found] == [actions]
        assert text(found[0]["Condition"]["ArnLike"]["aws:SourceArn"]).endswith(":alarm:know-me-staging-*")
        assert "aws:SourceAccount" in found[0]["Condition"]["StringEquals"]


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
            "APPROVAL_MODE",
            "APPROVAL_TIMEOUT_SECONDS",
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


def rule_named(assembly: Assembly, name: str) -> dict[str, Any]:
    (rule,) = [rule for rule in assembly.properties("AWS::Events::Rule") if rule["Name"] == name]
    return rule


def test_a_migration_that_ends_badly_is_returned(assembly: Assembly) -> None:
    # Given the rule
    rule = rule_named(assembly, "know-me-staging-return-after-failure")
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


def test_a_schema_migration_that_is_ended_from_outside_is_reported(assembly: Assembly) -> None:
    # Given that CodeDeploy waits an hour for what the state machine would have said
    rule = rule_named(assembly, "know-me-staging-schema-migration-lost")
    (machine,) = [
        name
        for name, each in assembly.resources("AWS::StepFunctions::StateMachine").items()
        if each["Properties"]["StateMachineName"] == "know-me-staging-schema-migration"
    ]
    # When an execution of it fails, times out or is stopped
    assert rule["EventPattern"]["detail"] == {
        "status": ["FAILED", "TIMED_OUT", "ABORTED"],
        "stateMachineArn": [{"Ref": machine}],
    }
    # Then a step reports it, and what cannot be delivered within that hour is kept
    (target,) = rule["Targets"]
    assert "ReportLostSchemaMigration" in text(target["Arn"])
    assert target["DeadLetterConfig"] and target["RetryPolicy"]["MaximumEventAgeInSeconds"] == 3600


def test_a_task_is_run_of_the_apis_family_in_its_cluster_with_its_two_roles(assembly: Assembly) -> None:
    # Given the two runbooks that run tasks
    running = {
        role: statement
        for role, statement in statements(assembly)
        if "ecs:RunTask" in as_list(statement["Action"])
    }
    assert {role.partition("Runbook")[0] for role in running} == {"SchemaMigration", "BackgroundJobs"}
    for role, statement in running.items():
        # Then each may run what a release brings, in the environment's cluster, and nothing else
        assert text(statement["Resource"]).endswith(":task-definition/know-me-staging-api:*")
        assert text(statement["Condition"]["ArnEquals"]["ecs:cluster"]).endswith(":cluster/know-me-staging")
        (passing,) = (
            each
            for holder, each in statements(assembly)
            if holder == role and "iam:PassRole" in as_list(each["Action"])
        )
        assert {text(each).rpartition("/")[2] for each in as_list(passing["Resource"])} == {
            "know-me-staging-api-task",
            "know-me-staging-api-execution",
        }


# ------------------------------------------------------------------ approval, starts (contracts, section 11)


def grants(assembly: Assembly, step: str) -> set[tuple[str, str]]:
    """Return what the role of a step may do besides logs and traces: action and resource."""
    return {
        (action, text(resource))
        for role, statement in statements(assembly)
        if role.startswith(f"{step}Role")
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if not action.startswith(("logs:", "xray:"))
    }


def test_the_approvals_expire_and_are_encrypted(assembly: Assembly) -> None:
    (table,) = [
        table
        for table in assembly.properties("AWS::DynamoDB::Table")
        if table["TableName"] == "know-me-staging-approvals"
    ]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "forget_at", "Enabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}


def test_only_the_page_has_a_url_and_only_its_address_is_in_the_parameter(assembly: Assembly) -> None:
    ((name, url),) = assembly.resources("AWS::Lambda::Url").items()
    assert "DecideApproval" in text(url["Properties"]["TargetFunctionArn"])
    assert url["Properties"]["AuthType"] == "NONE"
    (parameter,) = assembly.properties("AWS::SSM::Parameter")
    assert parameter["Name"] == "/know-me/staging/approval-url"
    assert text(parameter["Value"]) == f"<{name}.FunctionUrl>"
    # Anybody may call it, through its URL and in no other way
    open_to_all = [
        each for each in assembly.properties("AWS::Lambda::Permission") if each["Principal"] == "*"
    ]
    assert {each["Action"] for each in open_to_all} == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    for each in open_to_all:
        assert each.get("FunctionUrlAuthType") == "NONE" or each.get("InvokedViaFunctionUrl") is True


def test_the_key_is_made_by_cloudformation_and_read_by_the_two_steps_only(assembly: Assembly) -> None:
    (secret,) = assembly.properties("AWS::SecretsManager::Secret")
    assert secret["Name"] == "know-me/staging/approval-key"
    assert secret["GenerateSecretString"]["PasswordLength"] >= 32
    named = {
        (role.partition("Role")[0], statement["Effect"])
        for role, statement in statements(assembly)
        if "secretsmanager:GetSecretValue" in as_list(statement["Action"])
        and any("approval-key" in text(each) for each in as_list(statement["Resource"]))
    }
    # Terraform runs what is to be approved, and must not be able to approve it
    assert {role for role, effect in named if effect == "Allow"} == {"AskForApproval", "DecideApproval"}
    ((denied, _),) = [each for each in named if each[1] == "Deny"]
    assert denied.startswith("Terraform")


def test_whoever_decides_may_tell_runs_of_provision_and_nothing_else(assembly: Assembly) -> None:
    place = "<AWS::Region>:<AWS::AccountId>"
    told = {
        (action, resource)
        for action, resource in grants(assembly, "DecideApproval")
        if not action.startswith(("s3:", "secretsmanager:"))
    }
    assert told == {
        (
            "states:SendTaskSuccess",
            f"arn:<AWS::Partition>:states:{place}:stateMachine:know-me-staging-provision",
        ),
        (
            "states:DescribeExecution",
            f"arn:<AWS::Partition>:states:{place}:execution:know-me-staging-provision:*",
        ),
        ("dynamodb:GetItem", f"arn:<AWS::Partition>:dynamodb:{place}:table/know-me-staging-approvals"),
        ("dynamodb:UpdateItem", f"arn:<AWS::Partition>:dynamodb:{place}:table/know-me-staging-approvals"),
    }


def test_a_bundle_that_arrives_is_looked_at(assembly: Assembly) -> None:
    rule = rule_named(assembly, "know-me-staging-provision-bundle")
    assert rule["EventPattern"]["source"] == ["aws.s3"]
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert rule["EventPattern"]["detail"]["object"] == {"key": [{"prefix": "bundles/"}]}
    (bucket,) = rule["EventPattern"]["detail"]["bucket"]["name"]
    assert text(bucket) == "know-me-staging-artifacts-<AWS::AccountId>"
    (target,) = rule["Targets"]
    assert "StartBundleProvision" in text(target["Arn"])
    # What cannot be delivered, and what fails in the function, is kept
    (function,) = [
        each
        for each in assembly.properties("AWS::Lambda::Function")
        if each["FunctionName"] == "know-me-staging-start-bundle-provision"
    ]
    assert "Undelivered" in text(target["DeadLetterConfig"]["Arn"])
    assert function["DeadLetterConfig"]["TargetArn"] == target["DeadLetterConfig"]["Arn"]
    assert (
        "sqs:SendMessage",
        "arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>:know-me-staging-provision-undelivered",
    ) in grants(assembly, "StartBundleProvision")


def test_the_artifacts_bucket_tells_of_its_objects(assembly: Assembly) -> None:
    told = {
        text(bucket["BucketName"]): bucket.get("NotificationConfiguration")
        for bucket in assembly.properties("AWS::S3::Bucket")
    }
    assert told["know-me-staging-artifacts-<AWS::AccountId>"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }
    assert told["know-me-staging-state-<AWS::AccountId>"] is None


def test_drift_is_looked_for_every_morning(assembly: Assembly) -> None:
    rule = rule_named(assembly, "know-me-staging-provision-drift")
    assert rule["ScheduleExpression"] == "cron(0 5 * * ? *)"
    (target,) = rule["Targets"]
    assert json.loads(target["Input"]) == {"action": "plan", "drift": True}
    assert "ProvisionRunbook" in text(target["Arn"]) and target["DeadLetterConfig"]["Arn"]


def test_without_a_schedule_nobody_looks_for_drift(tmp_path: Path) -> None:
    # Given production with settings of its own
    assembly = assemble(tmp_path, environment="production", drift_schedule="", approval_timeout_seconds=3600)
    # Then there is no rule for drift, and the functions are told the mode that production has by itself
    assert {rule["Name"] for rule in assembly.properties("AWS::Events::Rule")} == {
        "know-me-production-return-after-failure",
        "know-me-production-schema-migration-lost",
        "know-me-production-provision-bundle",
    }
    for function in assembly.properties("AWS::Lambda::Function"):
        variables = function["Environment"]["Variables"]
        assert (variables["APPROVAL_MODE"], variables["APPROVAL_TIMEOUT_SECONDS"]) == ("changes", "3600")
