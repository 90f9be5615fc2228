"""JSONata as Step Functions has it: the functions it adds, undefined and null, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.stepfunctions import jsonata
from localaws.stepfunctions.errors import StateError, matches
from localaws.stepfunctions.naming import exception_name, java, sdk_error
from localaws.stepfunctions.validation import validate

STATES = {"input": {"n": 1, "none": None, "list": [{"v": 1}, {"v": 2}], "text": "a", "empty": []}}


def value(expression: str, **variables: Any) -> Any:
    """The value of an expression, as a state would get it."""
    return jsonata.render(f"{{% {expression} %}}", STATES, variables, "Output")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$states.input.n + 1", 2),
        ("$states.input.list.v", [1, 2]),
        ("$states.input.list[v > 1].v", 2),
        ("[$states.input.list[v > 1].v]", [2]),
        ("$states.input.none", None),
        ("$exists($states.input.none)", True),
        ("$exists($states.input.missing)", False),
        ("$states.input.empty", []),
        ("{'a': null, 'b': $states.input.missing}", {"a": None}),
        ("$count($states.input.missing)", 0),
        ("$merge([$states.input, {'n': 2}]).n", 2),
        ("$states.input.text & '-' & $string(1.0)", "a-1"),
        ("$substring('abcdef', 0, 3)", "abc"),
        ("$contains('abc', 'b') and 'a' in ['a', 'b']", True),
        ("$map([1, 2], function($i) { $i * 2 })", [2, 4]),
        ("$filter([1, 2, 3], function($i) { $i > 1 })", [2, 3]),
        ("$reduce([1, 2, 3], function($a, $b) { $a + $b })", 6),
        ("$lookup({'a': 5}, 'a')", 5),
        ("$number('12.5')", 12.5),
        ("6 / 3", 2),
        ("($x := 2; $x * $factor)", 6),
        ("$sort($states.input.list, function($a, $b) { $a.v < $b.v }).v", [2, 1]),
        ("$replace('a.b', '.', '-')", "a-b"),
        ("$states.input.n = 1 ? 'one' : 'many'", "one"),
        ("$boolean($states.input.empty)", False),
        ("$type($states.input.none)", "null"),
        ("$keys({'a': 1, 'b': 2})", ["a", "b"]),
        ("$length('abc')", 3),
    ],
)
def test_the_language(expression: str, expected: Any) -> None:
    assert value(expression, factor=3) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$parse('{\"a\": [1, null]}')", {"a": [1, None]}),
        ('$parse(\'{"a": {"b": 2}}\').a.b', 2),
        ("$partition([1, 2, 3, 4, 5], 2)", [[1, 2], [3, 4], [5]]),
        ("$range(0, 10, 5)", [0, 5, 10]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        (
            "$hash('input data', 'SHA-1')",
            "aaff4a450a104cd177d28d18d74485e8cae074b7",
        ),
        ("$random(7) = $random(7)", True),
        ("$length($uuid())", 36),
    ],
)
def test_functions_that_step_functions_adds(expression: str, expected: Any) -> None:
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("$states.input.missing", "returned nothing (undefined)"),
        ("$undefined_variable", "returned nothing (undefined)"),
        ("$parse('{')", "is not JSON"),
        ("$eval('1')", "$eval is not supported"),
        ("$error('too bad')", "too bad"),
        ("1 + 'a'", "must evaluate to a number"),
        ("$hash('a', 'ROT13')", "algorithm must be one of"),
        ("function($x) { $x }", "threw an error"),
        ("$nothing()", "non-function"),
    ],
)
def test_failures_are_query_evaluation_errors_that_name_field_and_expression(
    expression: str, words: str
) -> None:
    with pytest.raises(StateError) as failed:
        value(expression)
    assert failed.value.error == "States.QueryEvaluationError"
    assert words in str(failed.value.cause)
    assert expression in str(failed.value.cause) and "'Output'" in str(failed.value.cause)


def test_templates_are_rendered_at_every_depth_and_plain_strings_are_kept() -> None:
    template = {"a": ["{% 1 %}", {"b": "{%$states.input.text%}"}], "plain": "$states", "half": "{% 1"}
    assert jsonata.render(template, STATES, {}, "Arguments") == {
        "a": [1, {"b": "a"}],
        "plain": "$states",
        "half": "{% 1",
    }


def test_a_field_of_another_type_says_what_was_expected() -> None:
    with pytest.raises(StateError, match="Expected 'number', but was 'string'"):
        jsonata.typed("{% 'a' %}", "number", STATES, {}, "TimeoutSeconds")
    with pytest.raises(StateError, match="Expected 'boolean'"):
        jsonata.typed("{% 1 %}", "boolean", STATES, {}, "Condition")


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(DOCUMENTS)
def test_any_json_passes_through_unchanged(document: Any) -> None:
    found = jsonata.render("{% $states.input.x %}", {"input": {"x": document}}, {}, "Output")
    assert json.dumps(found, sort_keys=True) == json.dumps(document, sort_keys=True)
    assert jsonata.render("{% $x %}", {}, {"x": document}, "Output") == document


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    fault = jsonata.check(text)
    assert fault is None or isinstance(fault, str)


# -- errors and names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "error", "expected"),
    [
        (["States.ALL"], "Anything", True),
        (["States.ALL"], "States.Runtime", False),
        (["States.ALL"], "States.DataLimitExceeded", False),
        (["States.DataLimitExceeded"], "States.DataLimitExceeded", True),
        (["States.TaskFailed"], "Lambda.Unknown", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["States.Timeout"], "States.HeartbeatTimeout", True),
        (["States.HeartbeatTimeout"], "States.Timeout", False),
        (["A", "B"], "B", True),
    ],
)
def test_which_errors_a_catch_matches(patterns: list[str], error: str, expected: bool) -> None:
    assert matches(patterns, error) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DBInstanceIdentifier", "DbInstanceIdentifier"),
        ("VPCSecurityGroups", "VpcSecurityGroups"),
        ("EnableIAMDatabaseAuthentication", "EnableIamDatabaseAuthentication"),
        ("CACertificateIdentifier", "CaCertificateIdentifier"),
        ("desiredCount", "DesiredCount"),
        ("DBName", "DbName"),
        ("SSEKMSKeyId", "SsekmsKeyId"),
    ],
)
def test_names_of_the_java_sdk(name: str, expected: str) -> None:
    assert java(name) == expected


def test_names_of_exceptions() -> None:
    assert exception_name("DBSnapshotAlreadyExistsFault") == "DbSnapshotAlreadyExistsException"
    assert exception_name("NoSuchKey") == "NoSuchKeyException"
    assert sdk_error("rds", "DBSnapshotAlreadyExists") == "Rds.DbSnapshotAlreadyExistsException"
    assert sdk_error("s3", "NoSuchBucket") == "S3.NoSuchBucketException"
    assert sdk_error("s3", "SlowDown") == "S3.S3Exception"
    assert sdk_error("ecs", "ServiceNotFoundException") == "Ecs.ServiceNotFoundException"


# -- definitions ---------------------------------------------------------------------------------------------


def machine(**states: Any) -> str:
    """A JSONata definition from its states, in order."""
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states})


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("{", "INVALID_JSON_DESCRIPTION"),
        (machine(A={"Type": "Pass", "Next": "B"}), 'Missing "Next" target: B'),
        (machine(A={"Type": "Succeed"}, B={"Type": "Succeed"}), '"B" is not reachable'),
        (machine(A={"Type": "Pass"}), 'either "Next" or "End"'),
        (machine(A={"Type": "Nap", "End": True}), "Type must be one of"),
        (machine(A={"Type": "Pass", "End": True, "ResultPath": "$.a"}), '"ResultPath" is not supported'),
        (
            machine(A={"Type": "Pass", "End": True, "Output": "{% $states.result %}"}),
            "$states.result is available",
        ),
        (
            machine(A={"Type": "Pass", "End": True, "Output": "{% $states.imput %}"}),
            "$states.imput does not exist",
        ),
        (machine(A={"Type": "Pass", "End": True, "Output": "{% ( %}"}), "Invalid JSONata"),
        (
            machine(
                A={
                    "Type": "Task",
                    "Resource": "arn:aws:states:::aws-sdk:rds:describeDBInstances",
                    "Arguments": {"DBInstanceIdentifier": "x"},
                    "End": True,
                }
            ),
            "write DbInstanceIdentifier",
        ),
        (
            machine(
                A={
                    "Type": "Task",
                    "Resource": "arn:aws:states:::codebuild:startBuild.sync",
                    "Arguments": {"projectName": "x"},
                    "End": True,
                }
            ),
            "write ProjectName",
        ),
        (
            machine(
                A={
                    "Type": "Task",
                    "Resource": "arn:aws:states:::aws-sdk:rds:describeEverything",
                    "End": True,
                }
            ),
            "describeEverything",
        ),
        (
            machine(
                A={
                    "Type": "Parallel",
                    "Assign": {"x": 1},
                    "Branches": [
                        {"StartAt": "B", "States": {"B": {"Type": "Pass", "Assign": {"x": 2}, "End": True}}}
                    ],
                    "End": True,
                }
            ),
            "The variable x is assigned in an outer scope too",
        ),
        (
            machine(
                A={
                    "Type": "Task",
                    "Resource": "arn:aws:states:::lambda:invoke",
                    "Arguments": {"FunctionName": "x"},
                    "Retry": [{"ErrorEquals": ["States.ALL", "A"], "MaxAttempts": -1}],
                    "End": True,
                }
            ),
            "States.ALL must be alone",
        ),
    ],
)
def test_definitions_that_are_refused(definition: str, words: str) -> None:
    assert words in "\n".join(map(str, validate(definition)))


def test_a_sound_definition_has_no_fault() -> None:
    sound = machine(
        A={
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": "f", "Payload": {"any": {"Thing": "{% $states.input %}"}}},
            "Output": "{% $states.result.Payload %}",
            "Catch": [
                {"ErrorEquals": ["States.ALL"], "Assign": {"e": "{% $states.errorOutput %}"}, "Next": "B"}
            ],
            "Next": "B",
        },
        B={"Type": "Fail", "Error": "{% $e.Error %}", "Cause": "{% $e.Cause %}"},
    )
    assert validate(sound) == []
