"""Step Functions: what the runbooks lean on. Every test would pass against AWS."""

import io
import json
import sys
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conftest import LocalAWS

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def role(local_aws: LocalAWS) -> str:
    """A role that may do everything."""
    return local_aws.all_powerful_role("states.amazonaws.com", "lambda.amazonaws.com", "events.amazonaws.com")


@pytest.fixture(scope="module")
def states(local_aws: LocalAWS) -> Any:
    """A client of Step Functions."""
    return local_aws.client("stepfunctions")


Create = Callable[..., str]


@pytest.fixture(scope="module")
def create(states: Any, role: str) -> Create:
    """Create a JSONata state machine from its states, in order; return its ARN."""

    def make(definition: dict[str, Any], **fields: Any) -> str:
        document = {
            "QueryLanguage": "JSONata",
            "StartAt": next(iter(definition)),
            "States": definition,
            **fields,
        }
        name = f"test-{uuid.uuid4().hex[:12]}"
        return str(
            states.create_state_machine(name=name, definition=json.dumps(document), roleArn=role)[
                "stateMachineArn"
            ]
        )

    return make


def wait(states: Any, execution: str, seconds: float = 30) -> dict[str, Any]:
    """Return the description of an execution when it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        described: dict[str, Any] = states.describe_execution(executionArn=execution)
        if described["status"] != "RUNNING":
            return described
        time.sleep(0.02)
    raise AssertionError(f"{execution} still runs after {seconds} s")


@pytest.fixture(scope="module")
def run(states: Any, create: Create) -> Callable[..., dict[str, Any]]:
    """Create a machine, run it and return how it ended, with the output decoded."""

    def go(definition: dict[str, Any], value: Any = None, **fields: Any) -> dict[str, Any]:
        arn = create(definition, **fields)
        started = states.start_execution(
            stateMachineArn=arn, input=json.dumps(value if value is not None else {})
        )
        ended = wait(states, started["executionArn"])
        if "output" in ended:
            ended["output"] = json.loads(ended["output"])
        return ended

    return go


Run = Callable[..., dict[str, Any]]


def passing(output: Any, **fields: Any) -> dict[str, Any]:
    """A last state that gives an output."""
    return {"Type": "Pass", "Output": output, "End": True, **fields}


def kinds(states: Any, execution: str) -> list[str]:
    """The types of the events of an execution."""
    return [event["type"] for event in states.get_execution_history(executionArn=execution)["events"]]


# -- data ----------------------------------------------------------------------------------------------------


def test_output_is_computed_from_input_and_variables(run: Run) -> None:
    ended = run(
        {
            "Remember": {
                "Type": "Pass",
                "Assign": {"name": "{% $states.input.name %}", "list": ["{% 1 + 1 %}", None]},
                "Next": "Use",
            },
            "Use": passing({"text": "{% 'Hello ' & $name %}", "list": "{% $list %}", "plain": "$name"}),
        },
        {"name": "Ada"},
    )
    assert ended["output"] == {"text": "Hello Ada", "list": [2, None], "plain": "$name"}


def test_assignments_see_the_values_from_before(run: Run) -> None:
    ended = run(
        {
            "Set": {"Type": "Pass", "Assign": {"a": 1, "b": 2}, "Next": "Swap"},
            "Swap": {"Type": "Pass", "Assign": {"a": "{% $b %}", "b": "{% $a %}"}, "Next": "Show"},
            "Show": passing("{% [$a, $b] %}"),
        }
    )
    assert ended["output"] == [2, 1]


def test_the_context_names_execution_and_state(run: Run) -> None:
    ended = run({"Show": passing("{% $states.context %}")}, {"x": None})
    context = ended["output"]
    assert context["Execution"]["Id"] == ended["executionArn"]
    assert context["Execution"]["Input"] == {"x": None}
    assert context["State"]["Name"] == "Show"
    assert context["StateMachine"]["Id"] == ended["stateMachineArn"]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("$states.input.missing", "returned nothing (undefined)"),
        ("1 + 'a'", "threw an error during evaluation"),
        ("$parse('{')", "threw an error during evaluation"),
    ],
)
def test_a_failing_expression_ends_the_execution_naming_field_and_expression(
    run: Run, expression: str, words: str
) -> None:
    ended = run({"Fail here": passing({"deep": f"{{% {expression} %}}"})})
    assert ended["status"] == "FAILED"
    assert ended["error"] == "States.QueryEvaluationError"
    assert words in ended["cause"]
    assert "Fail here" in ended["cause"] and "Output/deep" in ended["cause"] and expression in ended["cause"]


def test_choice_takes_the_first_true_condition_with_its_own_assign(run: Run) -> None:
    definition = {
        "Choose": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $states.input.n > 10 %}", "Next": "Show", "Assign": {"size": "big"}},
                {"Condition": "{% $states.input.n > 1 %}", "Next": "Show", "Assign": {"size": "some"}},
            ],
            "Default": "Show",
            "Assign": {"size": "few"},
        },
        "Show": passing("{% $size %}"),
    }
    assert [run(definition, {"n": n})["output"] for n in (11, 2, 0)] == ["big", "some", "few"]


def test_choice_without_a_match_fails(run: Run) -> None:
    ended = run(
        {
            "Choose": {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "Show"}]},
            "Show": passing(1),
        }
    )
    assert ended["error"] == "States.NoChoiceMatched"


def test_fail_computes_error_and_cause(run: Run) -> None:
    ended = run(
        {"Stop": {"Type": "Fail", "Error": "{% 'A' & 'B' %}", "Cause": "{% $states.input.why %}"}},
        {"why": "x"},
    )
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "AB", "x")


def test_more_than_256_kib_is_refused(run: Run) -> None:
    ended = run({"Grow": passing("{% $join([1..30000].('0123456789')) %}")})
    assert ended["error"] == "States.DataLimitExceeded"


# -- Parallel and Map ----------------------------------------------------------------------------------------


def branch(**definition: Any) -> dict[str, Any]:
    """A branch from its states, in order."""
    return {"StartAt": next(iter(definition)), "States": definition}


def test_parallel_gives_the_outputs_in_order_and_branches_read_outer_variables(run: Run) -> None:
    ended = run(
        {
            "Set": {"Type": "Pass", "Assign": {"x": 5}, "Next": "Both"},
            "Both": {
                "Type": "Parallel",
                "Branches": [branch(A=passing("{% $x %}")), branch(B=passing("{% $states.input.y %}"))],
                "Arguments": {"y": 7},
                "End": True,
            },
        }
    )
    assert ended["output"] == [5, 7]


def test_a_failing_branch_ends_the_others_at_once(run: Run) -> None:
    began = time.monotonic()
    ended = run(
        {
            "Both": {
                "Type": "Parallel",
                "Branches": [
                    branch(Sleep={"Type": "Wait", "Seconds": 60, "End": True}),
                    branch(Break={"Type": "Fail", "Error": "Broken", "Cause": "why"}),
                ],
                "Catch": [{"ErrorEquals": ["Broken"], "Next": "Show", "Output": "{% $states.errorOutput %}"}],
                "End": True,
            },
            "Show": {"Type": "Succeed"},
        }
    )
    assert ended["output"] == {"Error": "Broken", "Cause": "why"}
    assert time.monotonic() - began < 10


def test_map_selects_and_keeps_the_order(run: Run) -> None:
    ended = run(
        {
            "Each": {
                "Type": "Map",
                "Items": "{% $states.input.list %}",
                "ItemSelector": {
                    "item": "{% $states.context.Map.Item.Value %}",
                    "index": "{% $states.context.Map.Item.Index %}",
                },
                "MaxConcurrency": 2,
                "ItemProcessor": branch(
                    Times={**passing("{% $states.input.item * 10 + $states.input.index %}")}
                ),
                "End": True,
            }
        },
        {"list": [3, 1, 2]},
    )
    assert ended["output"] == [30, 11, 22]


def test_map_over_nothing_gives_nothing(run: Run) -> None:
    ended = run({"Each": {"Type": "Map", "Items": [], "ItemProcessor": branch(A=passing(1)), "End": True}})
    assert ended["output"] == []


# -- tasks ---------------------------------------------------------------------------------------------------


def task(resource: str, arguments: Any, **fields: Any) -> dict[str, Any]:
    """A Task of an optimised or SDK integration."""
    ending = {} if "Next" in fields else {"End": True}
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{resource}",
        "Arguments": arguments,
        **ending,
        **fields,
    }


def test_sdk_tasks_take_and_give_the_names_of_the_java_sdk(run: Run, local_aws: LocalAWS) -> None:
    name = f"/test/{uuid.uuid4().hex}"
    ended = run(
        {
            "Put": task(
                "aws-sdk:ssm:putParameter", {"Name": name, "Value": "1", "Type": "String"}, Next="Get"
            ),
            "Get": task("aws-sdk:ssm:getParameter", {"Name": name}),
        }
    )
    assert ended["output"]["Parameter"]["Value"] == "1"
    assert isinstance(ended["output"]["Parameter"]["LastModifiedDate"], str)


@pytest.mark.parametrize(
    ("resource", "arguments", "error"),
    [
        ("aws-sdk:ssm:getParameter", {"Name": "/does/not/exist"}, "Ssm.ParameterNotFoundException"),
        (
            "aws-sdk:rds:describeDBInstances",
            {"DbInstanceIdentifier": "does-not-exist"},
            "Rds.DbInstanceNotFoundException",
        ),
        (
            "dynamodb:getItem",
            {"TableName": "none", "Key": {"a": {"S": "b"}}},
            "DynamoDB.ResourceNotFoundException",
        ),
    ],
)
def test_errors_of_services_have_the_names_of_aws(
    run: Run, resource: str, arguments: Any, error: str
) -> None:
    ended = run({"Call": task(resource, arguments)})
    assert ended["error"] == error


def test_a_catch_sees_error_and_assigns(run: Run) -> None:
    ended = run(
        {
            "Call": task(
                "aws-sdk:ssm:getParameter",
                {"Name": "/does/not/exist"},
                Catch=[
                    {
                        "ErrorEquals": ["States.ALL"],
                        "Assign": {"error": "{% $states.errorOutput.Error %}"},
                        "Output": "kept",
                        "Next": "Show",
                    }
                ],
            ),
            "Show": passing({"error": "{% $error %}", "input": "{% $states.input %}"}),
        }
    )
    assert ended["output"] == {"error": "Ssm.ParameterNotFoundException", "input": "kept"}


def test_retries_are_counted_and_end_in_the_catch(run: Run, states: Any) -> None:
    ended = run(
        {
            "Call": task(
                "aws-sdk:ssm:getParameter",
                {"Name": "/does/not/exist"},
                Retry=[
                    {
                        "ErrorEquals": ["Ssm.ParameterNotFoundException"],
                        "IntervalSeconds": 1,
                        "MaxAttempts": 1,
                    }
                ],
                Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Show"}],
            ),
            "Show": {"Type": "Succeed"},
        }
    )
    assert ended["status"] == "SUCCEEDED"
    assert kinds(states, ended["executionArn"]).count("TaskFailed") == 2


def test_a_child_execution_gives_its_output_as_json(run: Run, create: Create) -> None:
    child = create({"Show": passing({"got": "{% $states.input %}"})})
    ended = run(
        {"Start": task("states:startExecution.sync:2", {"StateMachineArn": child, "Input": {"a": 1}})}
    )
    assert ended["output"]["Status"] == "SUCCEEDED"
    assert ended["output"]["Output"] == {"got": {"a": 1}}


def test_a_failed_child_is_task_failed_with_its_error_in_the_cause(run: Run, create: Create) -> None:
    child = create({"Break": {"Type": "Fail", "Error": "Bad", "Cause": "luck"}})
    ended = run({"Start": task("states:startExecution.sync:2", {"StateMachineArn": child, "Input": {}})})
    assert ended["error"] == "States.TaskFailed"
    cause = json.loads(ended["cause"])
    assert (cause["Error"], cause["Cause"], cause["Status"]) == ("Bad", "luck", "FAILED")


def test_stopping_an_execution_stops_its_child_and_runs_nothing_more(states: Any, create: Create) -> None:
    child = create({"Sleep": {"Type": "Wait", "Seconds": 60, "Next": "End"}, "End": {"Type": "Succeed"}})
    parent = create(
        {
            "Start": task(
                "states:startExecution.sync:2", {"StateMachineArn": child, "Input": {}}, Next="After"
            ),
            "After": {"Type": "Succeed"},
        }
    )
    execution = states.start_execution(stateMachineArn=parent)["executionArn"]
    deadline = time.monotonic() + 10
    while not states.list_executions(stateMachineArn=child)["executions"] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    states.stop_execution(executionArn=execution, error="ByHand", cause="a test")
    ended = wait(states, execution, 5)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "ByHand", "a test")
    children = states.list_executions(stateMachineArn=child)["executions"]
    assert wait(states, children[0]["executionArn"], 5)["status"] == "ABORTED"
    assert kinds(states, execution)[-1] == "ExecutionAborted"
    assert "SucceedStateEntered" not in kinds(states, execution)


def test_a_task_times_out(run: Run, create: Create) -> None:
    child = create({"Sleep": {"Type": "Wait", "Seconds": 30, "End": True}})
    ended = run(
        {
            "Start": task(
                "states:startExecution.sync:2",
                {"StateMachineArn": child, "Input": {}},
                TimeoutSeconds="{% 1 %}",
                Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Show"}],
            ),
            "Show": {"Type": "Succeed"},
        }
    )
    assert ended["status"] == "SUCCEEDED"


def test_a_machine_times_out(run: Run) -> None:
    ended = run({"Sleep": {"Type": "Wait", "Seconds": 30, "End": True}}, TimeoutSeconds=1)
    assert ended["status"] == "TIMED_OUT"


def test_a_token_is_answered(run: Run, states: Any, create: Create, local_aws: LocalAWS) -> None:
    queue = local_aws.client("sqs").create_queue(QueueName=f"tokens-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = create(
        {
            "Ask": task(
                "sqs:sendMessage.waitForTaskToken",
                {"QueueUrl": queue, "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
            )
        }
    )
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    message = local_aws.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"][0]
    token = json.loads(message["Body"])["token"]
    states.send_task_heartbeat(taskToken=token)
    states.send_task_success(taskToken=token, output=json.dumps({"yes": True}))
    assert json.loads(wait(states, execution)["output"]) == {"yes": True}
    with pytest.raises(ClientError, match="TaskTimedOut"):
        states.send_task_success(taskToken=token, output="{}")
    with pytest.raises(ClientError, match="InvalidToken"):
        states.send_task_success(taskToken="nobody's", output="{}")


@pytest.mark.parametrize("ended", ["failed", "stopped", "timed out"])
def test_the_token_of_a_task_that_is_over_is_refused(
    ended: str, states: Any, create: Create, local_aws: LocalAWS
) -> None:
    # Given a task that waits
    queue = local_aws.client("sqs").create_queue(QueueName=f"tokens-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = create(
        {
            "Ask": task(
                "sqs:sendMessage.waitForTaskToken",
                {"QueueUrl": queue, "MessageBody": "{% $states.context.Task.Token %}"},
                TimeoutSeconds=2 if ended == "timed out" else 30,
            )
        }
    )
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    token = local_aws.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"][0]["Body"]
    # When it ends otherwise
    match ended:
        case "failed":
            states.send_task_failure(taskToken=token, error="No", cause="because")
        case "stopped":
            states.stop_execution(executionArn=execution)
    described = wait(states, execution)
    expected = {
        "failed": ("FAILED", "No"),
        "stopped": ("ABORTED", None),
        "timed out": ("FAILED", "States.Timeout"),
    }
    assert (described["status"], described.get("error")) == expected[ended]
    # Then nobody answers it any more
    for call in (
        lambda: states.send_task_success(taskToken=token, output="{}"),
        lambda: states.send_task_failure(taskToken=token),
        lambda: states.send_task_heartbeat(taskToken=token),
    ):
        with pytest.raises(ClientError, match="TaskTimedOut"):
            call()


def test_a_missing_heartbeat_has_its_own_error(run: Run, local_aws: LocalAWS) -> None:
    queue = local_aws.client("sqs").create_queue(QueueName=f"tokens-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    ended = run(
        {
            "Ask": task(
                "sqs:sendMessage.waitForTaskToken",
                {"QueueUrl": queue, "MessageBody": "{% $states.context.Task.Token %}"},
                HeartbeatSeconds=1,
                TimeoutSeconds=20,
            )
        }
    )
    assert ended["error"] == "States.HeartbeatTimeout"


def test_a_role_that_does_not_exist_is_an_error_of_the_task(states: Any) -> None:
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {"A": task("aws-sdk:ssm:getParameter", {"Name": "x"})},
    }
    arn = states.create_state_machine(
        name=f"roleless-{uuid.uuid4().hex[:8]}",
        definition=json.dumps(definition),
        roleArn="arn:aws:iam::123456789012:role/does-not-exist",
    )["stateMachineArn"]
    ended = wait(states, states.start_execution(stateMachineArn=arn)["executionArn"])
    assert ended["error"] == "States.Permissions"
    assert "does-not-exist" in ended["cause"]


# -- executions ----------------------------------------------------------------------------------------------


def test_names_are_unique_and_idempotent_while_running(states: Any, create: Create) -> None:
    arn = create({"Sleep": {"Type": "Wait", "Seconds": 30, "End": True}})
    first = states.start_execution(stateMachineArn=arn, name="one", input="{}")
    assert (
        states.start_execution(stateMachineArn=arn, name="one", input="{}")["executionArn"]
        == first["executionArn"]
    )
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(stateMachineArn=arn, name="one", input='{"other": 1}')
    states.stop_execution(executionArn=first["executionArn"])
    with pytest.raises(states.exceptions.ExecutionAlreadyExists):
        states.start_execution(stateMachineArn=arn, name="one", input="{}")
    with pytest.raises(states.exceptions.InvalidName):
        states.start_execution(stateMachineArn=arn, name="a b")


def test_history_comes_in_pages_and_in_reverse(states: Any, run: Run) -> None:
    ended = run({"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Succeed"}})
    execution = ended["executionArn"]
    pages = states.get_paginator("get_execution_history").paginate(
        executionArn=execution, PaginationConfig={"PageSize": 2}
    )
    identifiers = [event["id"] for page in pages for event in page["events"]]
    assert identifiers == [1, 2, 3, 4, 5, 6]
    last = states.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=1)["events"][0]
    assert last["type"] == "ExecutionSucceeded"


def test_an_update_leaves_running_executions_alone(states: Any, create: Create) -> None:
    arn = create({"Sleep": {"Type": "Wait", "Seconds": 1, "Next": "Show"}, "Show": passing("old")})
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    new = {"QueryLanguage": "JSONata", "StartAt": "Show", "States": {"Show": passing("new")}}
    states.update_state_machine(stateMachineArn=arn, definition=json.dumps(new))
    assert json.loads(wait(states, execution)["output"]) == "old"
    after = states.start_execution(stateMachineArn=arn)["executionArn"]
    assert json.loads(wait(states, after)["output"]) == "new"
    described = states.describe_state_machine_for_execution(executionArn=execution)
    assert "old" in described["definition"]


def test_every_fault_of_a_definition_is_named_at_once(states: Any, role: str) -> None:
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Next": "Nowhere"},
            "B": {"Type": "Task", "Resource": "arn:aws:states:::teapot:brew", "End": True},
            "C": {"Type": "Pass", "Output": "{% 1 + %}", "End": True},
        },
    }
    with pytest.raises(states.exceptions.InvalidDefinition) as refused:
        states.create_state_machine(
            name=f"bad-{uuid.uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=role
        )
    for word in ("Nowhere", "teapot:brew", "1 +", '"B" is not reachable'):
        assert word in str(refused.value)
    answer = states.validate_state_machine_definition(definition=json.dumps(definition))
    assert answer["result"] == "FAIL" and len(answer["diagnostics"]) >= 4


def test_what_is_not_implemented_is_refused_by_name(states: Any, create: Create) -> None:
    arn = create({"A": {"Type": "Succeed"}})
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    with pytest.raises(ClientError, match="RedriveExecution") as refused:
        states.redrive_execution(executionArn=execution)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_pass_state_takes_about_a_millisecond(run: Run) -> None:
    count = 500
    definition = {
        f"S{index}": {"Type": "Pass", "Assign": {"n": index}, "Next": f"S{index + 1}"}
        for index in range(count)
    }
    ended = run({**definition, f"S{count}": passing("{% $n %}")})
    assert ended["output"] == count - 1
    assert (ended["stopDate"] - ended["startDate"]).total_seconds() < count * 0.005


# -- Lambda --------------------------------------------------------------------------------------------------

FUNCTION = """
class LockHeld(Exception):
    pass

def handler(event, context):
    if "raise" in event:
        raise LockHeld(event["raise"])
    return {"got": event}
"""


@pytest.fixture(scope="module")
def function(local_aws: LocalAWS, role: str) -> str:
    """A Lambda function that echoes or raises."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("main.py", FUNCTION)
    client = local_aws.client("lambda")
    name = f"echo-{uuid.uuid4().hex[:8]}"
    created = client.create_function(
        FunctionName=name,
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Role=role,
        Handler="main.handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=30,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    return str(created["FunctionArn"])


def test_lambda_invoke_gives_the_payload(run: Run, function: str) -> None:
    ended = run({"Call": task("lambda:invoke", {"FunctionName": function, "Payload": {"a": 1}})})
    assert ended["output"]["Payload"] == {"got": {"a": 1}}
    assert ended["output"]["StatusCode"] == 200


def test_a_function_that_raises_has_the_class_as_error(run: Run, function: str) -> None:
    ended = run(
        {"Call": task("lambda:invoke", {"FunctionName": function, "Payload": {"raise": "held by x"}})}
    )
    assert ended["error"] == "LockHeld"
    cause = json.loads(ended["cause"])
    assert cause["errorMessage"] == "held by x" and cause["errorType"] == "LockHeld"
    assert "stackTrace" in cause


# -- JSONPath ------------------------------------------------------------------------------------------------


def test_without_a_query_language_a_machine_speaks_jsonpath(states: Any, role: str) -> None:
    definition = {
        "StartAt": "Remember",
        "States": {
            "Remember": {"Type": "Pass", "Assign": {"age.$": "$.age"}, "Next": "Set"},
            "Set": {
                "Type": "Pass",
                "Parameters": {
                    "text.$": "States.Format('{} is {}', $.name, $.age)",
                    "execution.$": "$$.Execution.Name",
                },
                "ResultPath": "$.made",
                "Next": "Choose",
            },
            "Choose": {
                "Type": "Choice",
                "Choices": [
                    {
                        "And": [
                            {"Variable": "$.made.text", "StringMatches": "Ada*"},
                            {"Variable": "$age", "NumericGreaterThan": 30},
                            {"Not": {"Variable": "$.missing", "IsPresent": True}},
                        ],
                        "Next": "Each",
                    }
                ],
                "Default": "Wrong",
            },
            "Each": {
                "Type": "Map",
                "ItemsPath": "$.list",
                "ItemSelector": {"value.$": "$$.Map.Item.Value", "index.$": "$$.Map.Item.Index"},
                "ItemProcessor": {
                    "StartAt": "Add",
                    "States": {
                        "Add": {
                            "Type": "Pass",
                            "Parameters": {"sum.$": "States.MathAdd($.value, $.index)"},
                            "End": True,
                        }
                    },
                },
                "ResultSelector": {"first.$": "$[0].sum", "all.$": "$[*].sum"},
                "ResultPath": "$.sums",
                "End": True,
            },
            "Wrong": {"Type": "Fail", "Error": "Wrong"},
        },
    }
    arn = states.create_state_machine(
        name=f"path-{uuid.uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=role
    )["stateMachineArn"]
    value = {"name": "Ada", "age": 36, "list": [5, 6]}
    execution = states.start_execution(stateMachineArn=arn, name="path", input=json.dumps(value))[
        "executionArn"
    ]
    ended = wait(states, execution)
    assert "output" in ended, ended["cause"]
    assert json.loads(ended["output"]) == {
        **value,
        "made": {"text": "Ada is 36", "execution": "path"},
        "sums": {"first": 5, "all": [5, 7]},
    }


# -- distributed maps ----------------------------------------------------------------------------------------

DISTRIBUTED = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}


def distributed(states_: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A distributed map."""
    return {
        "Type": "Map",
        "ItemProcessor": {"ProcessorConfig": DISTRIBUTED, **branch(**states_)},
        "End": True,
        **fields,
    }


@pytest.fixture(scope="module")
def bucket(local_aws: LocalAWS) -> str:
    """A bucket with a listing, a JSON, a JSON lines and a CSV object."""
    s3, name = local_aws.client("s3"), f"maps-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    for number in range(3):
        s3.put_object(Bucket=name, Key=f"in/{number}", Body=b"x" * number)
    s3.put_object(Bucket=name, Key="items.json", Body=b'{"items": [1, 2, 3]}')
    s3.put_object(Bucket=name, Key="items.jsonl", Body=b'{"a": 1}\n{"a": 2}\n')
    s3.put_object(Bucket=name, Key="items.csv", Body=b"name,size\na,1\nb,2\n")
    return name


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        (("JSON", "items.json", {"ItemsPointer": "/items"}), [1, 2, 3]),
        (("JSONL", "items.jsonl", {}), [{"a": 1}, {"a": 2}]),
        (
            ("CSV", "items.csv", {"CSVHeaderLocation": "FIRST_ROW"}),
            [{"name": "a", "size": "1"}, {"name": "b", "size": "2"}],
        ),
        (("JSON", "items.json", {"ItemsPointer": "/items", "MaxItems": 2}), [1, 2]),
    ],
)
def test_items_are_read_from_an_object(run: Run, bucket: str, reader: Any, expected: Any) -> None:
    kind, key, configuration = reader
    ended = run(
        {
            "Each": distributed(
                {"Show": passing("{% $states.input %}")},
                ItemReader={
                    "Resource": "arn:aws:states:::s3:getObject",
                    "Arguments": {"Bucket": bucket, "Key": key},
                    "ReaderConfig": {"InputType": kind, **configuration},
                },
            )
        }
    )
    assert ended["output"] == expected


def test_a_listing_is_mapped_in_batches_and_results_are_written(
    run: Run, states: Any, bucket: str, local_aws: LocalAWS
) -> None:
    ended = run(
        {
            "Each": distributed(
                {"Show": passing("{% $count($states.input.Items) & $states.input.BatchInput.suffix %}")},
                ItemReader={
                    "Resource": "arn:aws:states:::s3:listObjectsV2",
                    "Arguments": {"Bucket": bucket, "Prefix": "in/"},
                },
                ItemBatcher={"MaxItemsPerBatch": 2, "BatchInput": {"suffix": "{% $states.input.suffix %}"}},
                ResultWriter={
                    "Resource": "arn:aws:states:::s3:putObject",
                    "Arguments": {"Bucket": bucket, "Prefix": "out"},
                },
            )
        },
        {"suffix": "!"},
    )
    where = ended["output"]["ResultWriterDetails"]
    s3 = local_aws.client("s3")
    manifest = json.load(s3.get_object(Bucket=where["Bucket"], Key=where["Key"])["Body"])
    key = manifest["ResultFiles"]["SUCCEEDED"][0]["Key"]
    written = json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
    assert [json.loads(entry["Output"]) for entry in written] == ["2!", "1!"]
    map_run = states.describe_map_run(mapRunArn=ended["output"]["MapRunArn"])
    assert map_run["status"] == "SUCCEEDED" and map_run["itemCounts"]["succeeded"] == 3


FAILING = {
    "Check": {
        "Type": "Choice",
        "Choices": [{"Condition": "{% $states.input = 2 %}", "Next": "Break"}],
        "Default": "Show",
    },
    "Break": {"Type": "Fail", "Error": "Two"},
    "Show": passing("{% $states.input %}"),
}


def test_failures_are_tolerated_up_to_the_threshold(run: Run) -> None:
    ended = run({"Each": distributed(FAILING, Items=[1, 2, 3], ToleratedFailureCount=1)})
    assert ended["output"] == [1, 3]
    ended = run({"Each": distributed(FAILING, Items=[1, 2, 3])})
    assert ended["error"] == "States.ExceedToleratedFailureThreshold"


# -- builds --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(local_aws: LocalAWS, role: str) -> str:
    """A build project whose build does what its variable WHAT says."""
    name = f"build-{uuid.uuid4().hex[:8]}"
    buildspec = """
version: 0.2
env:
  exported-variables: [RESULT]
phases:
  build:
    commands:
      - sh -c "$WHAT"
      - export RESULT=done
"""
    local_aws.client("codebuild").create_project(
        name=name,
        source={"type": "NO_SOURCE", "buildspec": buildspec},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/amazonlinux2-x86_64-standard:5.0",
            "computeType": "BUILD_GENERAL1_SMALL",
        },
        serviceRole=role,
    )
    return name


def build(project: str, what: str, **fields: Any) -> dict[str, Any]:
    """A state that builds and waits."""
    variables = [{"Name": "WHAT", "Value": what, "Type": "PLAINTEXT"}]
    arguments = {"ProjectName": project, "EnvironmentVariablesOverride": variables}
    return task("codebuild:startBuild.sync", arguments, **fields)


def test_a_build_gives_its_exported_variables(run: Run, project: str) -> None:
    ended = run({"Build": build(project, "true")})
    result = ended["output"]["Build"]
    assert result["BuildStatus"] == "SUCCEEDED"
    assert {"Name": "RESULT", "Value": "done"} in result["ExportedEnvironmentVariables"]


def test_a_failed_build_is_task_failed_with_the_build_in_the_cause(run: Run, project: str) -> None:
    ended = run({"Build": build(project, "exit 3")})
    assert ended["error"] == "States.TaskFailed"
    assert json.loads(ended["cause"])["Build"]["BuildStatus"] == "FAILED"


def test_stopping_an_execution_stops_its_build(
    states: Any, create: Create, project: str, local_aws: LocalAWS
) -> None:
    arn = create({"Build": build(project, "sleep 60")})
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    deadline = time.monotonic() + 10
    while "TaskSubmitted" not in kinds(states, execution) and time.monotonic() < deadline:
        time.sleep(0.05)
    identifier = json.loads(
        next(
            event["taskSubmittedEventDetails"]["output"]
            for event in states.get_execution_history(executionArn=execution)["events"]
            if event["type"] == "TaskSubmitted"
        )
    )["Build"]["Id"]
    states.stop_execution(executionArn=execution)
    codebuild = local_aws.client("codebuild")
    while time.monotonic() < deadline:
        status = codebuild.batch_get_builds(ids=[identifier])["builds"][0]["buildStatus"]
        if status != "IN_PROGRESS":
            break
        time.sleep(0.05)
    assert status == "STOPPED"
