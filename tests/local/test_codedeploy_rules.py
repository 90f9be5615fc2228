"""The rules of CodeDeploy that need no server: AppSpec files, steps of the traffic, what groups refuse."""

import hashlib
import inspect
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.codedeploy import appspec, groups
from localaws.codedeploy.configurations import PREDEFINED, Configurations, canary, linear, steps
from localaws.codedeploy.deployments import Deployment
from localaws.codedeploy.errors import CodeDeployError, EndingError, failure
from localaws.codedeploy.hooks import Hooks
from localaws.codedeploy.traffic import Traffic

YAML = """
version: 0.0
Resources:
  - TargetService:
      Type: AWS::ECS::Service
      Properties:
        TaskDefinition: "arn:aws:ecs:us-east-1:123456789012:task-definition/api:7"
        LoadBalancerInfo: {ContainerName: api, ContainerPort: 8000}
        PlatformVersion: LATEST
        NetworkConfiguration:
          AwsvpcConfiguration: {Subnets: [subnet-1], SecurityGroups: [sg-1], AssignPublicIp: DISABLED}
Hooks:
  - BeforeInstall: start-schema-migration
  - AfterAllowTraffic: "arn:aws:lambda:us-east-1:123456789012:function:look"
"""
PROPERTIES: dict[str, Any] = {
    "TaskDefinition": "arn:aws:ecs:us-east-1:123456789012:task-definition/api:7",
    "LoadBalancerInfo": {"ContainerName": "api", "ContainerPort": 8000},
    "PlatformVersion": "LATEST",
    "NetworkConfiguration": {
        "AwsvpcConfiguration": {
            "Subnets": ["subnet-1"],
            "SecurityGroups": ["sg-1"],
            "AssignPublicIp": "DISABLED",
        }
    },
}
DOCUMENT: dict[str, Any] = {
    "version": 0.0,
    "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": PROPERTIES}}],
    "Hooks": [
        {"BeforeInstall": "start-schema-migration"},
        {"AfterAllowTraffic": "arn:aws:lambda:us-east-1:123456789012:function:look"},
    ],
}
BLUE, GREEN, OTHER = (
    f"arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/{name}/0" for name in ("b", "g", "o")
)

# ---------------------------------------------------------------------- AppSpec


def test_yaml_and_json_say_the_same():
    assert appspec.parse(YAML) == appspec.parse(json.dumps(DOCUMENT))


def test_an_appspec_becomes_the_parameters_of_a_task_set():
    spec = appspec.parse(YAML)
    assert (spec.task_definition.rsplit("/", 1)[-1], spec.container, spec.port) == ("api:7", "api", 8000)
    assert spec.options == {
        "platformVersion": "LATEST",
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["subnet-1"],
                "securityGroups": ["sg-1"],
                "assignPublicIp": "DISABLED",
            }
        },
    }
    assert list(spec.hooks) == ["BeforeInstall", "AfterAllowTraffic"]


def test_every_fault_of_an_appspec_is_named_at_once():
    # Given a file without version, container and definition, and with a hook of another platform
    document = {
        "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": {}}}],
        "Hooks": [{"ApplicationStop": "x"}],
    }
    # When
    with pytest.raises(EndingError) as caught:
        appspec.parse(json.dumps(document))
    # Then
    assert caught.value.code == "INVALID_REVISION"
    for words in ("version", "TaskDefinition", "ContainerName", "ContainerPort", "ApplicationStop"):
        assert words in caught.value.message


@pytest.mark.parametrize("text", ["{", "[]", "just words", ""])
def test_what_is_no_mapping_is_no_appspec(text: str):
    with pytest.raises(EndingError, match="not valid"):
        appspec.parse(text)


@pytest.mark.parametrize(
    ("revision", "name"),
    [
        (None, "RevisionRequiredException"),
        ({"revisionType": "GitHub", "gitHubLocation": {"repository": "a/b"}}, "InvalidRevisionException"),
        ({"revisionType": "AppSpecContent", "appSpecContent": {"content": ""}}, "InvalidRevisionException"),
        (
            {"revisionType": "AppSpecContent", "appSpecContent": {"content": YAML, "sha256": "0" * 64}},
            "InvalidRevisionException",
        ),
        ({"revisionType": "S3", "s3Location": {"bucket": "b"}}, "InvalidRevisionException"),
        (
            {"revisionType": "S3", "s3Location": {"bucket": "b", "key": "k", "bundleType": "zip"}},
            "InvalidRevisionException",
        ),
    ],
)
def test_a_revision_that_cannot_be_released_is_refused(revision: Any, name: str):
    with pytest.raises(CodeDeployError) as caught:
        appspec.check_revision(revision)
    assert caught.value.error_type == name


def test_a_revision_with_its_hash_is_taken():
    content = {"content": YAML, "sha256": hashlib.sha256(YAML.encode()).hexdigest()}
    appspec.check_revision({"revisionType": "AppSpecContent", "appSpecContent": content})
    appspec.check_revision(
        {"revisionType": "S3", "s3Location": {"bucket": "b", "key": "k", "bundleType": "yaml"}}
    )


# ---------------------------------------------------------------------- configurations


def test_the_predefined_configurations_are_those_of_aws():
    assert steps(PREDEFINED["CodeDeployDefault.ECSAllAtOnce"][1]) == [(100, 0)]
    assert steps(PREDEFINED["CodeDeployDefault.ECSCanary10Percent5Minutes"][1]) == [(10, 5), (100, 0)]
    every_minute = steps(PREDEFINED["CodeDeployDefault.ECSLinear10PercentEvery1Minutes"][1])
    assert every_minute == [(percent, 1) for percent in range(10, 100, 10)] + [(100, 0)]


@given(percent=st.integers(1, 99), minutes=st.integers(1, 100))
def test_traffic_only_ever_grows_until_all_of_it_has_moved(percent: int, minutes: int):
    for routing in (canary(percent, minutes), linear(percent, minutes)):
        shares = [share for share, _ in steps(routing)]
        assert shares == sorted(set(shares))
        assert (shares[0], shares[-1]) == (percent, 100)


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        ({"deploymentConfigName": "CodeDeployDefault.Mine"}, "InvalidDeploymentConfigNameException"),
        ({"trafficRoutingConfig": canary(0, 5)}, "InvalidTrafficRoutingConfigurationException"),
        ({"trafficRoutingConfig": linear(10, 0)}, "InvalidTrafficRoutingConfigurationException"),
        ({"trafficRoutingConfig": {"type": "Sudden"}}, "InvalidTrafficRoutingConfigurationException"),
        ({"computePlatform": "Fargate"}, "InvalidComputePlatformException"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(request_: dict[str, Any], name: str):
    with pytest.raises(CodeDeployError) as caught:
        Configurations().create({"deploymentConfigName": "mine", "computePlatform": "ECS", **request_})
    assert caught.value.error_type == name


# ---------------------------------------------------------------------- groups

GROUP: dict[str, Any] = {
    "serviceRoleArn": "arn:aws:iam::123456789012:role/deploy",
    "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
    "blueGreenDeploymentConfiguration": {
        "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE"},
        "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT"},
    },
    "ecsServices": [{"clusterName": "c", "serviceName": "s"}],
    "loadBalancerInfo": {
        "targetGroupPairInfoList": [
            {
                "targetGroups": [{"name": "b"}, {"name": "g"}],
                "prodTrafficRoute": {"listenerArns": ["arn:listener"]},
            }
        ]
    },
}


def test_a_complete_group_is_taken():
    groups.check("ECS", GROUP)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"serviceRoleArn": None}, "RoleRequiredException"),
        ({"deploymentStyle": {"deploymentType": "IN_PLACE"}}, "InvalidDeploymentStyleException"),
        ({"ecsServices": []}, "InvalidECSServiceException"),
        ({"loadBalancerInfo": {}}, "InvalidTargetGroupPairException"),
        (
            {
                "loadBalancerInfo": {
                    "targetGroupPairInfoList": [{"targetGroups": [{"name": "b"}, {"name": "g"}]}]
                }
            },
            "InvalidLoadBalancerInfoException",
        ),
        (
            {"blueGreenDeploymentConfiguration": None},
            "InvalidBlueGreenDeploymentConfigurationException",
        ),
        (
            {
                "blueGreenDeploymentConfiguration": {
                    "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE"},
                    "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT"},
                }
            },
            "InvalidBlueGreenDeploymentConfigurationException",
        ),
        (
            {"autoRollbackConfiguration": {"enabled": True, "events": []}},
            "InvalidAutoRollbackConfigException",
        ),
        (
            {"autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_SUCCESS"]}},
            "InvalidAutoRollbackConfigException",
        ),
        ({"alarmConfiguration": {"enabled": True, "alarms": []}}, "InvalidAlarmConfigException"),
        (
            {"alarmConfiguration": {"enabled": True, "alarms": [{"name": str(n)} for n in range(11)]}},
            "AlarmsLimitExceededException",
        ),
        (
            {
                "triggerConfigurations": [
                    {
                        "triggerName": "t",
                        "triggerTargetArn": "arn:aws:sqs:us-east-1:123456789012:q",
                        "triggerEvents": ["DeploymentStart"],
                    }
                ]
            },
            "InvalidTriggerConfigException",
        ),
    ],
)
def test_a_group_that_cannot_be_is_refused(change: dict[str, Any], name: str):
    with pytest.raises(CodeDeployError) as caught:
        groups.check("ECS", {**GROUP, **change})
    assert caught.value.error_type == name


def deployment(**settings: Any) -> Deployment:
    return Deployment(
        "app", "group", "us-east-1", "123456789012", {**GROUP, **settings}, "c", "s", {}, "AllAtOnce"
    )


@pytest.mark.parametrize(
    ("asked", "events", "expected"),
    [
        (None, ["DEPLOYMENT_FAILURE"], False),
        (None, ["DEPLOYMENT_STOP_ON_REQUEST"], True),
        (True, ["DEPLOYMENT_FAILURE"], True),
        (False, ["DEPLOYMENT_STOP_ON_REQUEST"], False),
    ],
)
def test_a_stop_rolls_back_when_it_says_so_and_otherwise_as_the_group_does(
    asked: bool | None, events: list[str], expected: bool
):
    stopped = deployment(autoRollbackConfiguration={"enabled": True, "events": events})
    stopped.stop(asked)
    assert stopped.rolls_back("DEPLOYMENT_STOP_ON_REQUEST") is expected


def test_a_rollback_that_is_not_enabled_never_comes():
    settings = {"enabled": False, "events": ["DEPLOYMENT_FAILURE"]}
    assert not deployment(autoRollbackConfiguration=settings).rolls_back("DEPLOYMENT_FAILURE")


def test_lifecycle_events_of_the_test_traffic_need_a_test_listener():
    shown = [event.name for event in deployment().events]
    assert "AllowTestTraffic" not in shown
    pair = {
        **GROUP["loadBalancerInfo"]["targetGroupPairInfoList"][0],
        "testTrafficRoute": {"listenerArns": ["arn:test"]},
    }
    tested = deployment(loadBalancerInfo={"targetGroupPairInfoList": [pair]})
    assert [event.name for event in tested.events if event.name not in shown] == [
        "AllowTestTraffic",
        "AfterAllowTestTraffic",
    ]


def test_what_comes_after_a_failed_lifecycle_event_is_skipped():
    def break_down() -> None:
        raise failure("HOOK_EXECUTION_FAILURE", "no")

    failed = deployment()
    with pytest.raises(EndingError) as caught:
        failed.run_event("BeforeInstall", break_down)
    failed.end(caught.value)
    assert [event.status for event in failed.events] == ["Failed"] + ["Skipped"] * 5
    assert (failed.status, failed.error) == ("Failed", {"code": "HOOK_EXECUTION_FAILURE", "message": "no"})


# ---------------------------------------------------------------------- hooks


def test_an_answer_counts_once_and_only_for_its_deployment():
    # Given a question
    seen: list[dict[str, Any]] = []
    client = SimpleNamespace(invoke=lambda **given: seen.append(json.loads(given["Payload"])))
    hooks = Hooks()
    execution = hooks.ask(client, "look", "d-1", "AfterInstall")
    token = seen[0]["LifecycleEventHookExecutionId"]
    assert seen[0]["DeploymentId"] == "d-1"
    # When wrong answers come, then each is refused by its name
    for deployment_id, used, answer, name in (
        ("d-1", token, "Skipped", "InvalidLifecycleEventHookExecutionStatusException"),
        ("d-2", token, "Succeeded", "InvalidLifecycleEventHookExecutionIdException"),
        ("d-1", "other", "Succeeded", "InvalidLifecycleEventHookExecutionIdException"),
    ):
        with pytest.raises(CodeDeployError) as caught:
            hooks.put(deployment_id, used, answer)
        assert caught.value.error_type == name
    assert execution.answer is None
    # And the right one counts, once
    hooks.put("d-1", token, "Succeeded")
    assert execution.answer == "Succeeded"
    with pytest.raises(CodeDeployError) as caught:
        hooks.put("d-1", token, "Failed")
    assert caught.value.error_type == "LifecycleEventAlreadyCompletedException"


# ---------------------------------------------------------------------- traffic


class Balancer:
    """One listener with a default action and a rule, as Elastic Load Balancing has it."""

    def __init__(self, default: list[dict[str, Any]], rule: list[dict[str, Any]]) -> None:
        self.default, self.rule = default, rule

    def describe_target_groups(self, Names: list[str]) -> dict[str, Any]:  # noqa: N803
        known = {"b": BLUE, "g": GREEN}
        return {"TargetGroups": [{"TargetGroupArn": known[name], "TargetGroupName": name} for name in Names]}

    def describe_listeners(self, ListenerArns: list[str]) -> dict[str, Any]:  # noqa: N803
        return {"Listeners": [{"ListenerArn": ListenerArns[0], "DefaultActions": self.default}]}

    def describe_rules(self, ListenerArn: str) -> dict[str, Any]:  # noqa: N803
        return {
            "Rules": [
                {"RuleArn": f"{ListenerArn}/rule", "IsDefault": False, "Actions": self.rule},
                {"RuleArn": f"{ListenerArn}/default", "IsDefault": True, "Actions": self.default},
            ]
        }

    def modify_listener(self, ListenerArn: str, DefaultActions: Any) -> None:  # noqa: N803
        self.default = DefaultActions

    def modify_rule(self, RuleArn: str, Actions: Any) -> None:  # noqa: N803
        self.rule = Actions


def test_only_what_forwards_to_the_pair_is_changed_and_stickiness_stays():
    # Given a rule that forwards elsewhere, and a sticky default action
    sticky = {"Enabled": True, "DurationSeconds": 60}
    default = [
        {
            "Type": "forward",
            "Order": 1,
            "ForwardConfig": {
                "TargetGroups": [{"TargetGroupArn": BLUE, "Weight": 1}],
                "TargetGroupStickinessConfig": sticky,
            },
        }
    ]
    rule = [{"Type": "forward", "TargetGroupArn": OTHER}]
    balancer = Balancer(default, rule)
    # When
    Traffic(balancer, ["b", "g"], ["arn:l"], []).divide(["arn:l"], {BLUE: 90, GREEN: 10})
    # Then
    (action,) = balancer.default
    assert action["ForwardConfig"] == {
        "TargetGroups": [
            {"TargetGroupArn": BLUE, "Weight": 90},
            {"TargetGroupArn": GREEN, "Weight": 10},
        ],
        "TargetGroupStickinessConfig": sticky,
    }
    assert balancer.rule == rule


def test_a_rule_that_forwards_to_the_pair_is_divided_too():
    fixed = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]
    balancer = Balancer(fixed, [{"Type": "forward", "TargetGroupArn": GREEN}])
    Traffic(balancer, ["b", "g"], ["arn:l"], []).divide(["arn:l"], {BLUE: 100})
    assert balancer.default == fixed
    assert balancer.rule[0]["ForwardConfig"]["TargetGroups"] == [{"TargetGroupArn": BLUE, "Weight": 100}]


def test_a_listener_that_forwards_to_neither_ends_the_deployment():
    elsewhere = [{"Type": "forward", "TargetGroupArn": OTHER}]
    traffic = Traffic(Balancer(elsewhere, elsewhere), ["b", "g"], ["arn:l"], [])
    with pytest.raises(EndingError, match="must be behind listener arn:l"):
        traffic.divide(["arn:l"], {BLUE: 100})
    with pytest.raises(EndingError, match="none of the deployment group's pair"):
        traffic.replacement_of(OTHER)
    assert (traffic.replacement_of(BLUE), traffic.replacement_of(GREEN)) == (GREEN, BLUE)


# ---------------------------------------------------------------------- seams


def test_the_seams_of_moto_are_where_we_lean_on_them():
    from moto.codedeploy.models import CodeDeployBackend, codedeploy_backends
    from moto.codedeploy.responses import CodeDeployResponse
    from moto.core.base_backend import BackendDict

    # The backend is made lazily from this attribute; actions find it and their parameters here.
    assert codedeploy_backends.__class__ is BackendDict
    assert hasattr(codedeploy_backends, "backend")
    assert isinstance(CodeDeployResponse.codedeploy_backend, property)
    assert CodeDeployResponse().automated_parameter_parsing
    # Tags are read through these, and the tagging API walks applications and groups by name.
    for name in ("_application_arn", "_deployment_group_arn", "list_tags_for_resource"):
        assert hasattr(CodeDeployBackend, name)
    walk = inspect.getsource(CodeDeployBackend.iter_tagged_resources)
    assert "in self.applications" in walk
    assert "self.deployment_groups.items()" in walk
