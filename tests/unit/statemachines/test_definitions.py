"""The runbooks as documents: every path leads somewhere, and every function, name and variable exists."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonata
import pytest

ROOT = Path(__file__).resolve().parents[3]
MACHINES = {
    path.name.removesuffix(".asl.json"): json.loads(path.read_text())
    for path in sorted((ROOT / "statemachines").glob("*.asl.json"))
}
STEPS = {path.stem for path in (ROOT / "lambdas").glob("*.py")}
SUBSTITUTIONS = {
    "Environment",
    "ArtifactsBucket",
    "LockTable",
    "TerraformBuild",
    "DatabaseJobsBuild",
    "NotificationTopic",
    "ProvisionStateMachine",
    "MoveDatabaseStateMachine",
    "ReturnStateMachine",
} | {f"{step.title().replace('_', '')}Function" for step in STEPS}
JOBS = {
    "prepare-role",
    "inspect",
    "inspect-candidate",
    "stop-writers",
    "dump",
    "restore",
    "verify",
    "allow-writes",
}
IMPLIED = {"states", "v"}
RETRIED = re.compile(
    r"^(Lambda\.(ServiceException|AWSLambdaException|SdkClientException|TooManyRequestsException)"
    r"|(CodeBuild|StepFunctions|Rds)\.(AWS\w+Exception|ThrottlingException|SdkClientException|AccountLimitExceededException))$"
)

every_machine = pytest.mark.parametrize("name", MACHINES)


def scopes(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the machine and every branch within it."""
    yield machine
    for state in machine["States"].values():
        for branch in state.get("Branches", []):
            yield from scopes(branch)


def states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for scope in scopes(machine):
        yield from scope["States"].items()


def targets(state: dict[str, Any]) -> Iterator[str]:
    yield from (rule["Next"] for rule in state.get("Choices", []) + state.get("Catch", []))
    yield from (state[key] for key in ("Next", "Default") if key in state)


def texts(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for value in document.values():
            yield from texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from texts(value)


def assigned(state: dict[str, Any]) -> set[str]:
    names = set(state.get("Assign", {}))
    for rule in state.get("Catch", []) + state.get("Choices", []):
        names |= set(rule.get("Assign", {}))
    return names


def test_the_four_runbooks_of_the_contract_are_there() -> None:
    assert set(MACHINES) == {"provision", "migrate", "move-database", "return"}


@every_machine
def test_the_query_language_is_jsonata_and_nothing_of_jsonpath_is_left(name: str) -> None:
    machine = MACHINES[name]
    assert machine["QueryLanguage"] == "JSONata"
    paths = {"InputPath", "OutputPath", "ResultPath", "Parameters", "ResultSelector", "Result"}
    assert [state for state, document in states(machine) if paths & set(document)] == []


@every_machine
def test_every_state_leads_to_a_state_of_its_own_scope_and_can_be_reached(name: str) -> None:
    for scope in scopes(MACHINES[name]):
        reached = {scope["StartAt"]}
        for state in scope["States"].values():
            reached |= set(targets(state))
        # When the targets are compared with the states, then neither dangles
        assert reached == set(scope["States"])


@every_machine
def test_every_state_goes_on_or_ends(name: str) -> None:
    for state, document in states(MACHINES[name]):
        ways = {"Next", "End", "Default"} & set(document)
        assert bool(ways) != (document["Type"] in ("Succeed", "Fail")), state


@every_machine
def test_state_names_are_unique_sentences(name: str) -> None:
    names = [state for state, _ in states(MACHINES[name])]
    assert len(names) == len(set(names))
    for state in names:
        assert len(state) <= 80  # the limit of Step Functions
        assert state[0].isupper() and (" " in state or state in ("Done", "Returned")), state


@every_machine
def test_every_task_has_a_time_limit_and_retries_only_what_is_worth_it(name: str) -> None:
    for state, document in states(MACHINES[name]):
        if document["Type"] != "Task":
            continue
        assert "TimeoutSeconds" in document, state
        for retry in document["Retry"]:
            assert [error for error in retry["ErrorEquals"] if not RETRIED.match(error)] == [], state
    assert MACHINES[name]["TimeoutSeconds"] > 0


@every_machine
def test_substitutions_are_those_of_the_contract(name: str) -> None:
    used = {found for text in texts(MACHINES[name]) for found in re.findall(r"\$\{(\w+)\}", text)}
    assert used <= SUBSTITUTIONS


def test_every_step_is_used_by_a_runbook() -> None:
    used = {found for text in texts(MACHINES) for found in re.findall(r"\$\{(\w+)Function\}", text)}
    assert used == {step.title().replace("_", "") for step in STEPS}


@every_machine
def test_every_variable_is_assigned_in_its_scope_or_around_it(name: str) -> None:
    def check(scope: dict[str, Any], around: set[str]) -> None:
        own = set().union(*(assigned(state) for state in scope["States"].values()))
        # Step Functions refuses a variable in a branch that is called like one around it
        assert own & around == set()
        for state, document in scope["States"].items():
            outside = {key: value for key, value in document.items() if key != "Branches"}
            expressions = [text for text in texts(outside) if text.startswith("{%")]
            used = {found for text in expressions for found in re.findall(r"\$([a-z_]+)\b(?!\s*\()", text)}
            assert used - own - around - IMPLIED == set(), state
            for branch in document.get("Branches", []):
                check(branch, own | around)

    check(MACHINES[name], set())


@every_machine
def test_expressions_are_closed_and_only_whole_texts(name: str) -> None:
    for text in texts(MACHINES[name]):
        assert text.startswith("{%") == text.endswith("%}"), text
        assert text.count("{%") <= 1


@every_machine
def test_database_jobs_are_those_of_the_contract_with_all_their_variables(name: str) -> None:
    for state, document in states(MACHINES[name]):
        if document.get("Arguments", {}).get("ProjectName") != "${DatabaseJobsBuild}":
            continue
        variables = {item["Name"]: item for item in document["Arguments"]["EnvironmentVariablesOverride"]}
        assert set(variables) == {
            "JOB",
            "RUN_ID",
            "RUN_FOLDER",
            "SOURCE_DATABASE",
            "CANDIDATE_DATABASE",
            "GRACE_SECONDS",
        }
        assert variables["JOB"]["Value"] in JOBS, state


def test_one_catch_in_migrate_starts_the_return() -> None:
    # Given the states of migrate that come after the lock
    machine = MACHINES["migrate"]
    guarded = machine["States"]["Migrate, and return on failure"]
    # When anything in them fails, then one Catch explains it and starts the return
    assert guarded["Catch"] == [
        {
            "ErrorEquals": ["States.ALL"],
            "Assign": {"caught": "{% $states.errorOutput %}"},
            "Next": "Explain what went wrong",
        }
    ]
    explain = machine["States"]["Explain what went wrong"]
    assert {explain["Next"], *(rule["Next"] for rule in explain["Catch"])} == {"Return to the old database"}
    # And what is refused before the lock starts none
    for state in ("Validate the request", "Take the lock"):
        assert machine["States"][state]["Catch"][0]["Next"] == "Refuse the request"


def test_nothing_that_can_fail_the_run_comes_after_the_migration_is_recorded() -> None:
    # Given that a failed migrate is returned, and people write to the new database by then
    machine = MACHINES["migrate"]["States"]
    branch = machine["Migrate, and return on failure"]["Branches"][0]["States"]
    # When the migration is recorded, then nothing of the branch follows, and a failing report is no failure
    assert (
        branch["Record that the migration is complete"]["Next"] == "The environment lives on the new database"
    )
    assert branch["The environment lives on the new database"]["Type"] == "Succeed"
    assert machine["Write the report"]["Catch"][0]["Next"] == "Release the lock"


def test_writers_stop_before_the_copy_and_the_cutover_follows_the_verification() -> None:
    branch = MACHINES["migrate"]["States"]["Migrate, and return on failure"]["Branches"][0]
    order, state = [], branch["StartAt"]
    while state:
        order.append(state)
        document = branch["States"][state]
        happy = {"Choice": lambda item: item["Choices"][0]["Next"]}.get(document["Type"])
        state = happy(document) if happy and state != "Is this only a preflight?" else document.get("Next")
        if document["Type"] == "Choice" and state is None:
            state = document["Default"]
    sequence = [
        "Judge what was found",
        "Provision the candidate",
        "Record what runs",
        "Stop everything that writes",
        "Make the old database refuse writes",
        "Move the data and keep a snapshot",
        "Make the candidate active",
        "Switch the app to the new database",
        "Start everything again",
        "Test the app",
        "Record that the migration is complete",
    ]
    assert [item for item in order if item in sequence] == sequence


def test_return_never_stops_terraform() -> None:
    branch = MACHINES["return"]["States"]["Bring everything back"]["Branches"][0]["States"]
    assert branch["Has everything ended?"]["Default"] == "Wait for it to end"
    assert branch["Wait for it to end"]["Next"] == "Stop what is still under way"


@every_machine
def test_every_expression_is_jsonata(name: str) -> None:
    for text in texts(MACHINES[name]):
        if text.startswith("{%"):
            jsonata.Jsonata(text[2:-2].strip())  # raises when it cannot be parsed


def test_a_refusal_says_the_one_sentence_of_the_function() -> None:
    # Given what Step Functions catches from a function that raised LockHeld
    caught = {
        "Error": "LockHeld",
        "Cause": json.dumps({"errorMessage": "The run x works.", "errorType": "LockHeld"}),
    }
    cause = MACHINES["migrate"]["States"]["Refuse the request"]["Cause"][2:-2].strip()
    # When the Fail state evaluates its cause (`$parse` is Step Functions' own function)
    expression = jsonata.Jsonata(cause)
    expression.assign("caught", caught)
    expression.register_lambda("parse", json.loads)
    # Then it is the message alone
    assert expression.evaluate(None) == "The run x works."
