"""The runbooks as documents: every path leads somewhere, and every function, name and variable exists."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonata
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.stepfunctions import jsonata as step_functions

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
    "MediaJobsBuild",
    "AccountId",
    "NotificationTopic",
    "ProvisionStateMachine",
    "MoveDatabaseStateMachine",
    "MoveMediaStateMachine",
    "ReturnStateMachine",
} | {f"{step.title().replace('_', '')}Function" for step in STEPS}
ALWAYS = {"JOB", "RUN_ID", "RUN_FOLDER", "SOURCE_DATABASE", "CANDIDATE_DATABASE", "GRACE_SECONDS"}
DATABASE_JOBS: dict[str, set[str]] = {
    "prepare-role": set(),
    "inspect": set(),
    "inspect-candidate": set(),
    "stop-writers": set(),
    "dump": set(),
    "restore": set(),
    "verify": set(),
    "allow-writes": set(),
    "list-files": {"PHASE", "FILE_COLUMNS"},
}
"""Job → what it is told besides what every database job is told."""
MEDIA_JOBS = {"survey", "compare", "synchronise", "catch-up", "cross-check", "look-back"}
MEDIA_VARIABLES = {
    *("JOB", "RUN_ID", "RUN_FOLDER", "PHASE", "ROUND", "SOURCE_BUCKET", "CANDIDATE_BUCKET"),
    *("CHANGES_QUEUE_URL", "VERSIONS", "METADATA_SAMPLE", "SINGLE_COPY_LIMIT_BYTES", "RESUMED_AT"),
}
IMPLIED = {"states", "v"}
RETRIED = re.compile(
    r"^(Lambda\.(ServiceException|AWSLambdaException|SdkClientException|TooManyRequestsException)"
    r"|(CodeBuild|StepFunctions|Rds)\.(AWS\w+Exception|ThrottlingException|SdkClientException|AccountLimitExceededException)"
    r"|Ecs\.(ServerException|ThrottlingException|SdkClientException)"
    r"|EventBridge\.(InternalException|ConcurrentModificationException|SdkClientException)"
    r"|S3Control\.(InternalServiceException|TooManyRequestsException|SdkClientException)"
    r"|S3\.(S3Exception|SdkClientException))$"
)

every_machine = pytest.mark.parametrize("name", MACHINES)


def inside(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the branches of a Parallel, or what a Map runs for each item."""
    return [*state.get("Branches", []), *filter(None, [state.get("ItemProcessor")])]


def is_distributed(scope: dict[str, Any]) -> bool:
    """Whether a scope is a child execution: it knows its input and no variable around it."""
    return bool(scope.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED")


def scopes(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the machine and every branch within it."""
    yield machine
    for state in machine["States"].values():
        for scope in inside(state):
            yield from scopes(scope)


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


def evaluated(text: str, variables: Mapping[str, Any] = {}, **states: Any) -> Any:
    """Evaluate a `{% %}` text as Step Functions does."""
    return step_functions.render(text, states, variables, "test")


def named(machine: str, state: str) -> dict[str, Any]:
    """Return a state of a machine, wherever it is."""
    return dict(states(MACHINES[machine]))[state]


def test_the_runbooks_of_the_contract_are_there() -> None:
    assert set(MACHINES) == {"provision", "migrate", "move-database", "move-media", "return"}


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
            outside = {
                key: value for key, value in document.items() if key not in ("Branches", "ItemProcessor")
            }
            expressions = [text for text in texts(outside) if text.startswith("{%")]
            used = {found for text in expressions for found in re.findall(r"\$([a-z_]+)\b(?!\s*\()", text)}
            assert used - own - around - IMPLIED == set(), state
            for inner in inside(document):
                check(inner, set() if is_distributed(inner) else own | around)

    check(MACHINES[name], set())


@every_machine
def test_expressions_are_closed_and_only_whole_texts(name: str) -> None:
    for text in texts(MACHINES[name]):
        assert text.startswith("{%") == text.endswith("%}"), text
        assert text.count("{%") <= 1


@every_machine
def test_database_jobs_are_those_of_the_contract_with_all_their_variables(name: str) -> None:
    for state, document in states(MACHINES[name]):
        arguments = document.get("Arguments", {})
        if "${DatabaseJobsBuild}" not in (arguments if isinstance(arguments, dict) else {}).values():
            continue
        variables = {item["Name"]: item for item in arguments["EnvironmentVariablesOverride"]}
        assert set(variables) == ALWAYS | DATABASE_JOBS[variables["JOB"]["Value"]], state


def media_builds(name: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield every state that starts a media job, with the variables that it gives."""
    for state, document in states(MACHINES[name]):
        arguments = document.get("Arguments", {})
        if "${MediaJobsBuild}" not in (arguments if isinstance(arguments, dict) else {}).values():
            continue
        given = arguments["EnvironmentVariablesOverride"]
        if isinstance(given, str):
            settings = named(name, "Note what to move")["Assign"]["settings"]
            given = evaluated(given, {"settings": settings, "job": "{% $job %}", "round": 1})
        yield state, {item["Name"]: item["Value"] for item in given}


def test_media_jobs_are_those_of_the_contract_with_all_their_variables() -> None:
    started = [build for name in MACHINES for build in media_builds(name)]
    jobs = {variables["JOB"] for _, variables in started}
    # Given that one state starts either of two jobs
    either = {
        holder["Assign"]["job"]
        for _, state in states(MACHINES["move-media"])
        for holder in (state, *state.get("Choices", []))
        if "job" in holder.get("Assign", {})
    }
    assert either == {"synchronise", "catch-up"}
    # Then every job is started, with everything that it must be told
    assert (jobs - {"{% $job %}"}) | either == MEDIA_JOBS
    assert [state for state, variables in started if set(variables) != MEDIA_VARIABLES] == []


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
    assert {explain["Next"], *(rule["Next"] for rule in explain["Catch"])} == {"Return to the old stores"}
    # And what is refused before the lock starts none
    for state in ("Validate the request", "Take the lock"):
        assert machine["States"][state]["Catch"][0]["Next"] == "Refuse the request"


def test_nothing_that_can_fail_the_run_comes_after_the_migration_is_recorded() -> None:
    # Given that a failed migrate is returned, and people write to the new stores by then
    machine = MACHINES["migrate"]["States"]
    branch = machine["Migrate, and return on failure"]["Branches"][0]["States"]
    # When the migration is recorded
    waiting = ["Record that the migration is complete"]
    after: set[str] = set()
    while waiting:
        new = set(targets(branch[waiting.pop()])) - after
        after |= new
        waiting += new
    # Then all that follows is caught and ends well, and a failing report is no failure
    assert "Look back at the old bucket" in after
    for state in after:
        document = branch[state]
        assert document["Type"] in ("Choice", "Succeed", "Task"), state
        if document["Type"] == "Task":
            assert document["Catch"][-1]["ErrorEquals"] == ["States.ALL"], state
            assert "warnings" in document["Catch"][-1]["Assign"], state
    assert machine["Write the report"]["Catch"][0]["Next"] == "Release the lock"


def way_through(branch: dict[str, Any], *, instead: Mapping[str, str]) -> list[str]:
    """Return the states of a branch when the first rule of every Choice applies, or the one that is named."""
    order: list[str] = []
    state: str | None = branch["StartAt"]
    while state:
        assert state not in order, f"{state} again"
        order.append(state)
        document = branch["States"][state]
        if state in instead:
            state = instead[state]
        elif document["Type"] == "Choice":
            state = document["Choices"][0]["Next"]
        else:
            state = document.get("Next")
    return order


def test_writers_stop_before_the_copy_and_the_cutover_follows_the_verification() -> None:
    branch = MACHINES["migrate"]["States"]["Migrate, and return on failure"]["Branches"][0]
    order = way_through(branch, instead={"Is this only a preflight?": "Add the candidate"})
    sequence = [
        "Judge what was found",
        "Provision the candidate",
        "Inspect the candidate",
        "Copy the media ahead",
        "Record what runs",
        "Stop everything that writes",
        "Make the old bucket refuse writes",
        "Make the old database refuse writes",
        "Move the data and keep a snapshot",
        "Make the candidates active",
        "Switch the app to the new stores",
        "Start everything again",
        "Test the app",
        "Record that the migration is complete",
        "Look back at the old bucket",
        "Stop listening for changes",
    ]
    assert [item for item in order if item in sequence] == sequence


def test_the_old_stores_are_written_to_only_when_nothing_can_write_to_the_new_ones() -> None:
    branch = MACHINES["return"]["States"]["Bring everything back"]["Branches"][0]
    order = way_through(branch, instead={})
    sequence = [
        "Stop what is still under way",
        "Point the generations back",
        "Stop listening for changes",
        "Cancel the copy jobs",
        "Stop the app",
        "Let the old database be written to",
        "Let the old bucket be written to",
        "Point the app back to the old stores",
        "Start everything again",
        "Test the app",
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


# ------------------------------------------------------------------ the media


@given(st.integers(1, 50 * 1024**4), st.integers(5 * 1024**2, 5 * 1024**3))
def test_the_parts_of_a_large_object_are_all_of_it_once(size: int, part_size: int) -> None:
    # Given an object of S3's largest size or less, in parts of a size that S3 takes
    text = named("move-media", "Copy the parts")["ItemSelector"]["CopySourceRange"]
    count = -(-size // part_size)

    def part(number: int) -> tuple[int, int]:
        states = {"context": {"Map": {"Item": {"Value": number}}}}
        written = evaluated(text, {"copy": {"part_size": part_size, "size": size}}, **states)
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", written)  # digits only: no fraction, no exponent
        assert found, written
        return int(found[1]), int(found[2])

    # When the first, a middle and the last part are written as ranges
    numbers = sorted({1, (count + 1) // 2, count})
    # Then each begins where the one before it ended, and the last one ends with the object
    assert part(1)[0] == 0
    assert part(count)[1] == size - 1
    for number in numbers:
        if number < count:
            assert part(number)[1] + 1 == part(number + 1)[0]


LONGEST = {
    "run_id": "r" * 60,
    "phase": "ahead",
    "name": "intelligent-tiering",
    "storage_class": "INTELLIGENT_TIERING",
    "source": {"bucket": "b" * 63},
    "candidate": {"bucket": "c" * 63},
    "copy_role_arn": "arn:aws:iam::111122223333:role/copy",
}


def copy_job(**change: Any) -> dict[str, Any]:
    """Return a copy job as it is asked for."""
    template = named("move-media", "Describe the copy job")["Assign"]["copy_job"]
    found: dict[str, Any] = step_functions.render(template, {}, {**LONGEST, "attempt": 1, **change}, "test")
    return found


def test_a_copy_job_is_described_and_named_within_the_limits_of_s3() -> None:
    job = copy_job()
    assert len(job["ClientRequestToken"]) <= 64
    assert len(job["Description"]) <= 256


def test_the_token_of_a_copy_job_tells_apart_what_must_be_done_twice() -> None:
    tokens = {
        copy_job(run_id=run, phase=phase, name=name, attempt=attempt)["ClientRequestToken"]
        for run in ("a", "b")
        for phase in ("ahead", "final")
        for name in ("standard", "glacier-ir")
        for attempt in (1, 2)
    }
    assert len(tokens) == 16
    # And a request that is repeated is the same request
    assert copy_job() == copy_job()


def test_the_second_attempt_reports_beside_the_first() -> None:
    first, second = (copy_job(run_id="x", name="standard", attempt=attempt) for attempt in (1, 2))
    assert first["Report"]["Prefix"] == "runs/x/media/ahead/reports/standard"
    assert second["Report"]["Prefix"] == "runs/x/media/ahead/reports/standard-retry"


def test_a_return_finds_the_copy_jobs_of_its_run_and_no_others() -> None:
    # Given the jobs of a run, of another run whose id begins alike, and one that nobody described
    jobs = [
        {"JobId": "1", "Description": copy_job(run_id="run")["Description"]},
        {"JobId": "2", "Description": copy_job(run_id="run-2")["Description"]},
        {"JobId": "3", "Description": copy_job(run_id="run", attempt=2)["Description"]},
        {"JobId": "4"},
    ]
    text = named("return", "List the copy jobs")["Assign"]["copy_jobs"]

    def found(run_id: str, listed: list[Any]) -> Any:
        return evaluated(text, {"run_id": run_id}, result={"Jobs": listed})

    # When a return looks for its own
    assert found("run", jobs) == ["1", "3"]
    # Then one is a list too, and none an empty one
    assert found("run-2", jobs) == ["2"]
    assert found("other", jobs) == []
    assert found("run", []) == []


def test_waiting_for_a_day_of_copying_fits_into_the_history_of_an_execution() -> None:
    # Given six storage classes that are copied at the same time for the longest time allowed
    text = named("move-media", "Wait for the copy job")["Seconds"]
    classes, allowed, limit = 6, 86400, 25000
    # When each is looked at, again and again
    elapsed = looks = 0
    while elapsed < allowed:
        looks += 1
        elapsed += evaluated(text, {"looks": looks})
    # Then the events of a look (Task 5, Choice 2, Wait 2) stay within what Step Functions keeps
    assert classes * looks * 9 < limit
    # And a short job is seen to have ended within seconds
    assert [evaluated(text, {"looks": look}) for look in (1, 2, 3)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("round_", "left", "after"),
    [
        (1, 0, "Summarise the copy"),
        (1, 2, "Copy the large objects"),
        (2, 1, "Copy the large objects"),
        (3, 0, "Summarise the copy"),
        (3, 1, "Large objects keep changing"),
    ],
)
def test_large_objects_are_copied_in_three_rounds_at_most(round_: int, left: int, after: str) -> None:
    choice = named("move-media", "Are large objects left?")
    variables = {"round": round_, "large_objects_left": left, "job": "synchronise", "file_columns": [{}]}
    taken = [rule["Next"] for rule in choice["Choices"] if evaluated(rule["Condition"], variables)]
    assert [*taken, choice["Default"]][0] == after
