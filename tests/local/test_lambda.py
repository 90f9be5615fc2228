"""Lambda: what a function sees, and what its caller sees when it fails. Every test would pass against AWS."""

# ruff: noqa: S310 - addresses of our own server

import base64
import io
import json
import sys
import urllib.error
import urllib.request
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.waiting import eventually

pytestmark = pytest.mark.local

RUNTIME = f"python3.{sys.version_info.minor}"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def archive(**files: str) -> bytes:
    """Return a zip; names have `__` for a slash."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, text in files.items():
            opened.writestr(name.replace("__", "/") + ".py", text)
    return buffer.getvalue()


class Functions:
    """Makes functions and calls them."""

    def __init__(self, local_aws: Any, role: str) -> None:
        self.client = local_aws.client("lambda")
        self.logs = local_aws.client("logs")
        self.role = role

    def create(self, code: str, **settings: Any) -> str:
        name = f"function-{uuid.uuid4().hex[:8]}"
        arguments = {
            "Runtime": RUNTIME,
            "Handler": "index.handler",
            "Role": self.role,
            "Code": {"ZipFile": archive(index=code)},
            "Timeout": 10,
        }
        self.client.create_function(FunctionName=name, **{**arguments, **settings})
        return name

    def call(self, name: str, event: Any = None, **more: Any) -> tuple[Any, dict[str, Any]]:
        """Return the payload and the whole answer."""
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event or {}), **more)
        return json.loads(answer["Payload"].read() or b"null"), answer

    def run(self, code: str, event: Any = None, **settings: Any) -> tuple[Any, dict[str, Any]]:
        return self.call(self.create(code, **settings), event)

    def messages(self, group: str) -> list[str]:
        """Return what was logged, stream by stream."""
        try:
            streams = self.logs.describe_log_streams(logGroupName=group)["logStreams"]
        except ClientError:
            return []
        return [
            event["message"]
            for stream in streams
            for event in self.logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        ]


@pytest.fixture(scope="module")
def functions(local_aws: Any) -> Functions:
    """The helper above with a role of its own."""
    role = local_aws.client("iam").create_role(
        RoleName=f"lambda-{uuid.uuid4().hex[:8]}", AssumeRolePolicyDocument=TRUST
    )["Role"]["Arn"]
    return Functions(local_aws, role)


def test_function_answers_and_a_warm_environment_is_used_again(functions: Functions) -> None:
    name = functions.create(
        "count = 0\ndef handler(event, context):\n    global count\n    count += 1\n    return count, event"
    )
    assert functions.call(name, {"a": 1})[0] == [1, {"a": 1}]
    assert functions.call(name)[0] == [2, {}]


def test_changed_variables_reach_the_next_call(functions: Functions) -> None:
    name = functions.create(
        "import os\ndef handler(event, context): return os.environ['WHO']",
        Environment={"Variables": {"WHO": "a"}},
    )
    first = functions.call(name)[0]
    functions.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"WHO": "b"}})
    assert (first, functions.call(name)[0]) == ("a", "b")


def test_function_sees_its_role_and_nothing_of_the_machine(functions: Functions) -> None:
    # Given a function that looks around
    code = (
        "import os, sys, importlib.util, boto3\n"
        "def handler(event, context):\n"
        "    return {'names': sorted(os.environ), 'cwd': os.listdir('.'), 'path': sys.path,\n"
        "            'arn': boto3.client('sts').get_caller_identity()['Arn'],\n"
        "            'moto': importlib.util.find_spec('moto') is not None}\n"
    )
    seen, _ = functions.run(code)
    # Then it has the credentials of its role, the code as working directory, and not our packages
    assert f":assumed-role/{functions.role.rpartition('/')[2]}/function-" in seen["arn"]
    assert "index.py" in seen["cwd"] and not seen["moto"]
    assert not [entry for entry in seen["path"] if ".venv" in entry]
    assert {"AWS_LAMBDA_FUNCTION_NAME", "LAMBDA_TASK_ROOT", "_HANDLER", "AWS_SESSION_TOKEN"} <= set(
        seen["names"]
    )
    assert not {"MOTO_PORT", "VIRTUAL_ENV"} & set(seen["names"])


def test_exception_is_an_unhandled_function_error_with_its_type(functions: Functions) -> None:
    payload, answer = functions.run("def handler(event, context): raise KeyError('x')")
    assert answer["FunctionError"] == "Unhandled" and answer["StatusCode"] == 200
    assert (payload["errorType"], payload["errorMessage"]) == ("KeyError", "'x'")


def test_function_that_takes_too_long_times_out_and_the_next_call_starts_afresh(functions: Functions) -> None:
    name = functions.create(
        "import time\ncalls = []\ndef handler(event, context):\n    calls.append(1)\n"
        "    time.sleep(event.get('s', 0))\n    return len(calls)",
        Timeout=1,
    )
    payload, answer = functions.call(name, {"s": 30})
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Sandbox.Timedout"
    assert payload["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert functions.call(name)[0] == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os\ndef handler(event, context): os._exit(3)", "Runtime exited with error: exit status 3"),
        (
            "import os\ndef handler(event, context): os.kill(os.getpid(), 9)",
            "Runtime exited with error: signal: killed",
        ),
    ],
)
def test_function_that_ends_its_process_is_an_exit_error(
    functions: Functions, code: str, reason: str
) -> None:
    payload, answer = functions.run(code)
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ExitError" and payload["errorMessage"].endswith(reason)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import nothing_like_this", "Runtime.ImportModuleError"),
        ("def handler(event context): pass", "Runtime.UserCodeSyntaxError"),
        ("def other(event, context): pass", "Runtime.HandlerNotFound"),
        ("raise ValueError('while loading')", "ValueError"),
    ],
)
def test_function_that_cannot_be_loaded_says_why(functions: Functions, code: str, kind: str) -> None:
    payload, answer = functions.run(code)
    assert answer["FunctionError"] == "Unhandled" and payload["errorType"] == kind


def test_log_has_start_output_end_report_and_the_tail_is_returned(functions: Functions) -> None:
    name = functions.create("def handler(event, context):\n    print('hello', event['n'])")
    _, answer = functions.call(name, {"n": 5}, LogType="Tail")
    tail = base64.b64decode(answer["LogResult"]).decode()
    lines = tail.splitlines()
    assert [line.split()[0] for line in lines] == ["START", "hello", "END", "REPORT"]
    assert "hello 5" in lines and "Init Duration" in lines[-1]
    logged = eventually(lambda: [m for m in functions.messages(f"/aws/lambda/{name}") if "REPORT" in m])
    assert "Billed Duration" in logged[0]


def test_logging_configuration_names_the_group(functions: Functions) -> None:
    group = f"/own/{uuid.uuid4().hex}"
    name = functions.create(
        "import logging\ndef handler(event, context): logging.getLogger().warning('json')",
        LoggingConfig={"LogFormat": "JSON", "LogGroup": group},
    )
    functions.call(name)
    entries = eventually(lambda: [m for m in functions.messages(group) if '"message"' in m])
    assert json.loads(entries[0])["message"] == "json"
    described = functions.client.get_function_configuration(FunctionName=name)["LoggingConfig"]
    assert (described["LogFormat"], described["LogGroup"]) == ("JSON", group)


def test_layer_is_importable_and_the_function_goes_before_it(functions: Functions) -> None:
    layer = functions.client.publish_layer_version(
        LayerName=f"layer-{uuid.uuid4().hex[:8]}",
        Content={"ZipFile": archive(python__shared="who = 'layer'", python__only="who = 'layer'")},
        CompatibleRuntimes=[RUNTIME],
    )["LayerVersionArn"]
    code = archive(
        index="import shared, only\ndef handler(e, c): return [shared.who, only.who]",
        shared="who = 'function'",
    )
    payload, _ = functions.run("", Code={"ZipFile": code}, Layers=[layer])
    assert payload == ["function", "layer"]


def test_concurrent_calls_run_at_the_same_time(functions: Functions) -> None:
    name = functions.create(
        "import time, os\ndef handler(event, context):\n    time.sleep(1)\n    return os.getpid()"
    )
    with ThreadPoolExecutor(3) as executor:
        pids = [found for found, _ in executor.map(lambda _: functions.call(name), range(3))]
    assert len(set(pids)) == 3


def test_reserved_concurrency_throttles(functions: Functions) -> None:
    name = functions.create("def handler(event, context): pass")
    functions.client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(functions.client.exceptions.TooManyRequestsException):
        functions.call(name)


def test_asynchronous_call_is_accepted_and_tried_three_times(functions: Functions, local_aws: Any) -> None:
    # Given a function that fails, with a dead-letter queue
    sqs = local_aws.client("sqs")
    queue = sqs.create_queue(QueueName=f"dead-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    name = functions.create(
        "def handler(event, context):\n    print('try', context.aws_request_id)\n    raise ValueError('no')",
        DeadLetterConfig={"TargetArn": arn},
    )
    # When it is called without waiting
    answer = functions.client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"k": 1}')
    assert answer["StatusCode"] == 202 and answer["Payload"].read() == b""
    # Then it runs three times with the same request id, and the event ends in the queue
    message = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"), 20)[0]
    assert json.loads(message["Body"]) == {"k": 1}

    def three_tries() -> list[str]:
        tries = [m for m in functions.messages(f"/aws/lambda/{name}") if m.startswith("try ")]
        return tries if len(tries) == 3 else []

    assert len(set(eventually(three_tries))) == 1


def test_function_url_passes_the_request_and_returns_the_answer(functions: Functions) -> None:
    name = functions.create(
        "def handler(event, context):\n"
        "    if event['rawPath'] == '/bad': raise ValueError\n"
        "    method = event['requestContext']['http']['method']\n"
        "    return {'statusCode': 201, 'headers': {'x-me': 'yes'}, 'body': method + event['rawPath']\n"
        "            + event['queryStringParameters']['q'] + event['body']}\n"
    )
    url = functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    # urllib calls every body a form unless it is told otherwise, and forms arrive in base64
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{url}a/b?q=1", data=b"text", method="PUT", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert (answer.status, answer.headers["x-me"], answer.read()) == (201, "yes", b"PUT/a/b1text")
    with pytest.raises(urllib.error.HTTPError) as failed:
        urllib.request.urlopen(f"{url}bad?q=1", timeout=30)
    assert failed.value.code == 502
    functions.client.delete_function_url_config(FunctionName=name)
    with pytest.raises(urllib.error.HTTPError) as gone:
        urllib.request.urlopen(url, timeout=30)
    assert gone.value.code == 404


def test_a_form_and_bytes_reach_a_function_in_base64_and_cookies_go_both_ways(functions: Functions) -> None:
    # Given a function that returns its event, two cookies and bytes
    name = functions.create(
        "import base64, json\n"
        "def handler(event, context):\n"
        "    body = base64.b64encode(json.dumps(event).encode() + b'\\xff').decode()\n"
        "    return {'statusCode': 200, 'headers': {'content-type': 'image/x'}, 'cookies': ['a=1', 'b=2'],\n"
        "            'body': body, 'isBase64Encoded': True}\n"
    )
    url = functions.client.create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    # When a form is posted with cookies and a parameter that is there twice
    request = urllib.request.Request(
        f"{url}?q=1&q=2&empty=", data=b"by=me&why=a+b", headers={"Cookie": "one=1; two=2", "X-Own": "yes"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        body, headers = answer.read(), answer.headers
    # Then the function sees what AWS shows, and the answer is what it said
    event = json.loads(body.removesuffix(b"\xff"))
    assert base64.b64decode(event["body"]) == b"by=me&why=a+b" and event["isBase64Encoded"] is True
    assert event["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert event["cookies"] == ["one=1", "two=2"] and event["headers"]["x-own"] == "yes"
    assert event["queryStringParameters"] == {"q": "1,2", "empty": ""}
    assert event["rawQueryString"] == "q=1&q=2&empty="
    assert headers.get_all("Set-Cookie") == ["a=1", "b=2"] and headers["content-type"] == "image/x"
    # When JSON is posted, then it arrives as it is
    request = urllib.request.Request(url, data=b'{"a": 1}', headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        event = json.loads(answer.read().removesuffix(b"\xff"))
    assert event["body"] == '{"a": 1}' and event["isBase64Encoded"] is False and "cookies" not in event


def test_context_has_deadline_arn_and_request_id(functions: Functions) -> None:
    payload, answer = functions.run(
        "def handler(event, c):\n"
        "    return [c.get_remaining_time_in_millis(), c.invoked_function_arn, c.aws_request_id]"
    )
    assert 5000 < payload[0] <= 10000 and ":function:function-" in payload[1]
    assert payload[2] == answer["ResponseMetadata"]["RequestId"]


def test_unknown_function_and_bad_json_are_refused(functions: Functions) -> None:
    with pytest.raises(functions.client.exceptions.ResourceNotFoundException):
        functions.call("nobody")
    name = functions.create("def handler(event, context): pass")
    with pytest.raises(functions.client.exceptions.InvalidRequestContentException):
        functions.client.invoke(FunctionName=name, Payload=b"{no json")


def test_other_interpreter_or_missing_role_is_refused_with_the_remedy(functions: Functions) -> None:
    with pytest.raises(ClientError) as other:
        functions.create("", Runtime="python3.9")
    with pytest.raises(ClientError) as missing:
        functions.create("", Role="arn:aws:iam::123456789012:role/nobody")
    assert "python_runtime" in str(other.value)
    assert "cannot be assumed by Lambda" in str(missing.value)
