"""Templates: intrinsic functions, conditions, parameters, order."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.cloudformation.errors import ResourceFailedError, ValidationError
from localaws.cloudformation.parameters import given_values, resolved, with_defaults
from localaws.cloudformation.resources.base import Place, conform
from localaws.cloudformation.template import Scope, parse

TOPIC = {"Type": "AWS::SNS::Topic"}


def scope(template: dict[str, Any], **parameters: Any) -> Scope:
    return Scope(
        {"Resources": {"One": TOPIC}, **template},
        parameters,
        {"AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"},
        ref=lambda name: f"ref of {name}",
        attribute=lambda name, attribute: f"{attribute} of {name}",
        export=lambda name: f"export {name}",
    )


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Ref": "One"}, "ref of One"),
        ({"Fn::GetAtt": ["One", "Arn"]}, "Arn of One"),
        (
            {"Fn::Sub": "${AWS::Region}-${One}-${One.Arn}-${!Literal}"},
            "us-east-1-ref of One-Arn of One-${Literal}",
        ),
        ({"Fn::Sub": ["${Own}/${Name}", {"Own": {"Ref": "One"}}]}, "ref of One/value"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Name"}, 1, True]]}, "a-value-1-true"),
        ({"Fn::Select": ["1", {"Fn::Split": ["/", "a/b/c"]}]}, "b"),
        ({"Fn::If": ["IsValue", "yes", {"Ref": "Nowhere"}]}, "yes"),
        ({"Fn::FindInMap": ["Sizes", "us-east-1", "size"]}, "big"),
        ({"Fn::ImportValue": {"Fn::Sub": "x-${Name}"}}, "export x-value"),
        ({"Fn::Base64": "hello"}, "aGVsbG8="),
        ({"Fn::GetAZs": ""}, ["us-east-1a", "us-east-1b", "us-east-1c"]),
        ({"Fn::ToJsonString": {"a": [{"Ref": "Name"}]}}, '{"a": ["value"]}'),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [1, {"Ref": "AWS::NoValue"}]}, {"b": [1]}),
        ({"Fn::Contains": [["1", "value"], {"Ref": "Name"}]}, True),
    ],
)
def test_intrinsic_functions(expression: Any, value: Any) -> None:
    template = {
        "Conditions": {"IsValue": {"Fn::Equals": [{"Ref": "Name"}, "value"]}},
        "Mappings": {"Sizes": {"us-east-1": {"size": "big"}}},
    }
    assert scope(template, Name="value").evaluate(expression) == value


def test_a_function_that_nobody_implements_is_refused() -> None:
    with pytest.raises(ValidationError, match="Fn::Cidr"):
        scope({}).evaluate({"Fn::Cidr": ["10.0.0.0/16", 2, 8]})


def test_conditions_build_on_each_other() -> None:
    conditions = {
        "A": {"Fn::Equals": ["x", {"Ref": "Name"}]},
        "B": {"Fn::Not": [{"Condition": "A"}]},
        "C": {"Fn::And": [{"Condition": "A"}, {"Fn::Or": [{"Condition": "B"}, {"Condition": "A"}]}]},
    }
    at = scope({"Conditions": conditions}, Name="x")
    assert (at.condition("A"), at.condition("B"), at.condition("C")) == (True, False, True)


def test_a_policys_condition_is_not_a_conditions_name() -> None:
    statement = {"Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}}
    assert scope({}).evaluate(statement) == {
        "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    }


def test_resources_come_after_what_they_refer_to() -> None:
    resources = {
        "D": {**TOPIC, "DependsOn": "C"},
        "C": {**TOPIC, "Properties": {"DisplayName": {"Fn::Sub": "${B.TopicName}"}}},
        "B": {**TOPIC, "Properties": {"DisplayName": {"Fn::GetAtt": ["A", "TopicName"]}}},
        "A": TOPIC,
    }
    assert scope({"Resources": resources}).order() == ["A", "B", "C", "D"]


def test_references_in_a_circle_or_to_nowhere_are_refused() -> None:
    circle = {
        "A": {**TOPIC, "Properties": {"DisplayName": {"Ref": "B"}}},
        "B": {**TOPIC, "Properties": {"DisplayName": {"Ref": "A"}}},
    }
    with pytest.raises(ValidationError, match="Circular dependency"):
        scope({"Resources": circle}).order()
    with pytest.raises(ValidationError, match="Unresolved resource dependencies \\[Nowhere\\]"):
        scope({"Resources": {"A": {**TOPIC, "Properties": {"DisplayName": {"Ref": "Nowhere"}}}}}).order()


def test_yaml_has_short_forms_and_leaves_dates_alone() -> None:
    text = """
Resources:
  A:
    Type: AWS::SNS::Topic
    Properties:
      DisplayName: !Join ["-", [!Ref Name, !GetAtt B.Arn, !Sub "${AWS::Region}"]]
      Version: 2012-10-17
"""
    assert parse(text)["Resources"]["A"]["Properties"] == {
        "DisplayName": {
            "Fn::Join": ["-", [{"Ref": "Name"}, {"Fn::GetAtt": ["B", "Arn"]}, {"Fn::Sub": "${AWS::Region}"}]]
        },
        "Version": "2012-10-17",
    }


@pytest.mark.parametrize("text", ["", "{", "Resources: {}", "[1]", "a: [", "{}"])
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="Template format error"):
        parse(text)


def test_every_fault_of_parameters_is_named() -> None:
    template = {
        "Parameters": {
            "Size": {"Type": "String", "AllowedValues": ["s"]},
            "Name": {"AllowedPattern": "[a-z]+"},
        }
    }
    with pytest.raises(ValidationError, match="do not exist in the template"):
        with_defaults(template, {"Other": "x"})
    with pytest.raises(ValidationError, match=r"\[Size, Name\] must have values"):
        with_defaults(template, {})
    with pytest.raises(ValidationError, match=r"(?s)Size.*Name"):
        with_defaults(template, {"Size": "xl", "Name": "UPPER"})


def test_parameters_become_lists_and_what_ssm_holds() -> None:
    template = {
        "Parameters": {
            "Zones": {"Type": "CommaDelimitedList"},
            "Version": {"Type": "AWS::SSM::Parameter::Value<String>"},
            "Name": {"Type": "String"},
        }
    }
    values = {"Zones": "a, b", "Version": "/path", "Name": "a,b"}
    found = resolved(template, values, {"/path": "33"}.__getitem__)
    assert found == {"Zones": ["a", "b"], "Version": "33", "Name": "a,b"}


def test_a_previous_value_is_used_when_there_is_one() -> None:
    asked = [{"ParameterKey": "Name", "UsePreviousValue": True}]
    assert given_values(asked, {"Name": "old"}) == {"Name": "old"}
    with pytest.raises(ValidationError, match="Name"):
        given_values(asked, {})


def test_properties_become_parameters_of_the_api() -> None:
    # Names differ in case, numbers and booleans may be text
    assert conform(
        "codebuild",
        "CreateProject",
        {"TimeoutInMinutes": "5", "Source": {"BuildSpec": "x.yml"}, "BadgeEnabled": "true"},
    ) == {"timeoutInMinutes": 5, "source": {"buildspec": "x.yml"}, "badgeEnabled": True}


@pytest.mark.parametrize(
    "properties",
    [{"Sourze": {}}, {"Source": {"Buildspecs": "x"}}, {"TimeoutInMinutes": "five"}, {"Source": "x"}],
)
def test_a_property_that_the_api_does_not_know_is_refused(properties: dict[str, Any]) -> None:
    with pytest.raises(ResourceFailedError):
        conform("codebuild", "CreateProject", properties)


@given(
    stack=st.from_regex(r"[a-z][a-z0-9-]{0,120}", fullmatch=True),
    logical=st.from_regex(r"[A-Z][A-Za-z0-9]{0,100}", fullmatch=True),
    longest=st.integers(min_value=48, max_value=255),
)
def test_generated_names_fit_and_differ(stack: str, logical: str, longest: int) -> None:
    places = [
        Place(lambda _: None, "123456789012", "us-east-1", f"id of {stack}", stack, name, attempt)
        for name, attempt in ((logical, 0), (logical, 1), (f"{logical}B", 0))
    ]
    names = {place.generated_name(longest) for place in places}
    assert len(names) == 3
    assert all(len(name) <= longest for name in names)
