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
    r"|ECS\.(ServerException|ThrottlingException|SdkClientException)"
    r"|CodeDeploy\.(ThrottlingException|SdkClientException)"
    r"|SNS\.(InternalErrorException|ThrottledException|SdkClientException)"
    r"|Ecs\.(ServerException|ThrottlingException|SdkClientException)"
    r"|EventBridge\.(InternalException|ConcurrentModificationException|SdkClientException)"
    r"|S3Control\.(InternalServiceException|TooManyRequestsException|SdkClientException)"
    r"|S3\.(S3Exception|SdkClientException)"
    r"|Ssm\.(InternalServerErrorException|TooManyUpdatesException|SdkClientException))$"
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
    runbooks = {"provision", "migrate", "move-database", "move-media", "return"}
    assert set(MACHINES) == runbooks | {"schema-migration", "background-jobs"}


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
        worth = {"LockHeld"} if state == "Take the lock again" else set()  # what holds it may be short
        for retry in document["Retry"]:
            unknown = [error for error in retry["ErrorEquals"] if not RETRIED.match(error)]
            assert set(unknown) <= worth, state
    assert MACHINES[name]["TimeoutSeconds"] > 0


@every_machine
def test_substitutions_are_those_of_the_contract(name: str) -> None:
    used = {found for text in texts(MACHINES[name]) for found in re.findall(r"\$\{(\w+)\}", text)}
    assert used <= SUBSTITUTIONS


STARTED_OTHERWISE = {
    "decide_approval",
    "report_lost_schema_migration",
    "start_bundle_provision",
    "start_schema_migration",
}
"""By a person, by CodeDeploy, and by rules of EventBridge."""


def test_every_step_is_used_by_a_runbook() -> None:
    used = {found for text in texts(MACHINES) for found in re.findall(r"\$\{(\w+)Function\}", text)}
    assert used == {step.title().replace("_", "") for step in STEPS - STARTED_OTHERWISE}


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
        "Let nothing new begin",
        "Look whether a release is under way",
        "Stop everything that writes",
        "Make the old bucket refuse writes",
        "Make the old database refuse writes",
        "Move the data and keep a snapshot",
        "Make the candidates active",
        "Switch the app to the new stores",
        "Let tasks read the new stores",
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
        "Let tasks read the old stores",
        "Start everything again",
        "Test the app",
    ]
    assert [item for item in order if item in sequence] == sequence


def test_when_terraform_fails_on_the_way_back_the_old_database_is_read_all_the_same() -> None:
    states = MACHINES["return"]["States"]["Bring everything back"]["Branches"][0]["States"]
    explain = states["Explain why Terraform failed"]
    assert {explain["Next"], explain["Catch"][0]["Next"]} == {"Let tasks read the old database all the same"}
    state = states["Let tasks read the old database all the same"]
    # The bucket's name is Terraform's to write: whether it did is looked at next.
    assert state["Arguments"]["Payload"]["media"] is None
    assert state["Next"] == "Look which stores the app would use"


def test_tasks_are_started_again_without_a_new_deployment_which_codedeploys_services_refuse() -> None:
    again = MACHINES["provision"]["States"]["Start the app's tasks again"]["ItemProcessor"]
    counts = [
        state["Arguments"].get("DesiredCount")
        for state in again["States"].values()
        if state.get("Resource", "").endswith(":ecs:updateService")
    ]
    assert counts == [0, "{% $wanted_tasks %}"]
    assert "ForceNewDeployment" not in json.dumps(MACHINES)


@pytest.mark.parametrize(("desired", "wanted"), [(3, 3), (1, 1), (0, 1)])
def test_a_service_that_was_left_without_tasks_gets_one(desired: int, wanted: int) -> None:
    states = MACHINES["provision"]["States"]["Start the app's tasks again"]["ItemProcessor"]["States"]
    expression = states["See how many tasks it should run"]["Assign"]["wanted_tasks"]
    assert evaluated(expression, {}, result={"Services": [{"DesiredCount": desired}]}) == wanted


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


# ------------------------------------------------------------------ releases


def test_whatever_happens_to_a_schema_migration_is_reported_to_codedeploy_once() -> None:
    # Given every way through the state machine
    machine = MACHINES["schema-migration"]["States"]
    reports = {"Tell CodeDeploy that it succeeded", "Tell CodeDeploy that it failed"}

    def ways(state: str, reported: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
        told = (*reported, state) if state in reports else reported
        following = list(targets(machine[state]))
        if not following:
            yield state, told
        for target in following:
            yield from ways(target, told)

    # When one ends well, then CodeDeploy was told so; when it ends badly, then it was told that, or the
    # report of the success was refused
    ends = {(end, told) for end, told in ways(MACHINES["schema-migration"]["StartAt"], ())}
    assert ends == {
        ("The schema is migrated", ("Tell CodeDeploy that it succeeded",)),
        ("The schema migration failed", ("Tell CodeDeploy that it failed",)),
        ("The schema migration failed", ("Tell CodeDeploy that it succeeded",)),
    }


def test_a_schema_migration_ends_within_the_hour_that_codedeploy_waits() -> None:
    machine = MACHINES["schema-migration"]
    limit = machine["States"]["Note the deployment"]["Assign"]["time_limit"]
    others = sum(
        state["TimeoutSeconds"]
        for state in machine["States"].values()
        if state["Type"] == "Task" and isinstance(state["TimeoutSeconds"], int)
    )
    assert limit + others < machine["TimeoutSeconds"] < 3600


@pytest.mark.parametrize("name", ["schema-migration", "background-jobs"])
def test_only_the_exit_code_decides_how_a_task_ended(name: str) -> None:
    # Given that the task is waited for, when it ends in any way, then its outcome is read
    (task,) = (
        state for _, state in states(MACHINES[name]) if state.get("Resource", "").endswith("ecs:runTask.sync")
    )
    assert {task["Next"], *(rule["Next"] for rule in task["Catch"])} == {
        next(state for state, document in states(MACHINES[name]) if "ReadTaskOutcome" in str(document))
    }


# ------------------------------------------------------------------ provision


ASKED = {
    "action": "apply",
    "targets": [],
    "replace": [],
    "drift": False,
    "own_lock": True,
    "bundle": None,
    "source_location": None,
}


def terraform_build(build: str, **request: Any) -> dict[str, Any]:
    """Return what CodeBuild is asked for, with the variables in the place of the list."""
    validate = named("provision", "Validate the request")["Assign"]
    context = {"context": {"Execution": {"Name": "run-1"}}, "result": {"Payload": {**ASKED, **request}}}
    noted = {
        key: step_functions.render(validate[key], context, {}, "test") for key in ("source", "variables")
    }
    state = {"plan": "Plan the changes", "apply": "Apply the plan"}[build]
    asked: dict[str, Any] = evaluated(named("provision", state)["Arguments"], noted)
    variables = asked.pop("EnvironmentVariablesOverride")
    assert {each["Type"] for each in variables} == {"PLAINTEXT"}
    return {**asked, "variables": {each["Name"]: each["Value"] for each in variables}}


def test_terraform_plans_everything_from_the_own_source_unless_told_otherwise() -> None:
    assert terraform_build("plan") == {
        "ProjectName": "${TerraformBuild}",
        "variables": {
            "ACTION": "plan",
            "RUN_ID": "run-1",
            "RUN_FOLDER": "s3://${ArtifactsBucket}/runs/run-1",
            "DESTROY": "false",
            "TARGETS": "[]",
            "REPLACE": "[]",
        },
    }


@pytest.mark.parametrize("targets", [["module.api"], ['module.database["blue"]', "module.api"]])
def test_addresses_reach_terraform_as_a_json_list_also_a_single_one(targets: list[str]) -> None:
    variables = terraform_build("apply", action="destroy", targets=targets)["variables"]
    assert (variables["DESTROY"], json.loads(variables["TARGETS"])) == ("true", targets)
    assert variables["ACTION"] == "apply"


def test_a_bundle_takes_the_place_of_the_own_source_for_plan_and_apply() -> None:
    location = {"location": "artifacts/bundles/a.zip", "version_id": "v1"}
    for action in ("plan", "apply"):
        asked = terraform_build(action, source_location=location)
        assert (asked["SourceTypeOverride"], asked["SourceLocationOverride"], asked["SourceVersion"]) == (
            "S3",
            "artifacts/bundles/a.zip",
            "v1",
        )


def chosen(state: str, **variables: Any) -> tuple[str, dict[str, Any]]:
    """Return where a Choice goes, and what it assigns on the way."""
    choice = named("provision", state)
    for rule in choice["Choices"]:
        if evaluated(rule["Condition"], variables):
            return rule["Next"], step_functions.render(rule.get("Assign", {}), {}, variables, "test")
    return choice["Default"], {}


@pytest.mark.parametrize(
    ("verdict", "request_", "after", "outcome"),
    [
        ("empty", {}, "Did it come with a bundle?", "nothing_to_change"),
        ("empty", {"action": "plan"}, "Write the report", "nothing_to_change"),
        ("empty", {"action": "plan", "drift": True}, "Write the report", "nothing_to_change"),
        ("empty", {"action": "destroy"}, "Write the report", "nothing_to_change"),
        ("refused", {}, "Refuse the plan", None),
        ("refused", {"action": "plan"}, "Refuse the plan", None),
        ("refused", {"action": "destroy"}, "Refuse the plan", None),
        ("refused", {"action": "plan", "drift": True}, "Write the report", "drift_found"),
        ("allowed", {}, "Apply the plan", None),
        ("allowed", {"action": "destroy"}, "Apply the plan", None),
        ("allowed", {"action": "plan"}, "Write the report", "planned"),
        ("approval_needed", {"action": "plan"}, "Write the report", "planned"),
        ("approval_needed", {"action": "plan", "drift": True}, "Write the report", "drift_found"),
        ("approval_needed", {}, "Do we hold the lock while people decide?", None),
        ("approval_needed", {"action": "destroy"}, "Do we hold the lock while people decide?", None),
    ],
)
def test_a_plan_is_applied_only_when_it_was_asked_for_and_allowed(
    verdict: str, request_: dict[str, Any], after: str, outcome: str | None
) -> None:
    state, assigns = chosen(
        "What does the plan ask for?",
        judgement={"verdict": verdict, "foreign_rules": 0},
        request={**ASKED, **request_},
    )
    assert (state, assigns.get("outcome")) == (after, outcome)


@pytest.mark.parametrize("verdict", ["empty", "allowed", "approval_needed", "refused"])
def test_rules_that_terraform_does_not_know_lead_elsewhere_only_when_drift_was_looked_for(
    verdict: str,
) -> None:
    def led(foreign_rules: int, **request: Any) -> tuple[str, dict[str, Any]]:
        judgement = {"verdict": verdict, "foreign_rules": foreign_rules}
        return chosen("What does the plan ask for?", judgement=judgement, request={**ASKED, **request})

    assert led(2, action="plan", drift=True) == ("Write the report", {"outcome": "drift_found"})
    for action in ("apply", "plan", "destroy"):
        assert led(2, action=action) == led(0, action=action)


def test_only_a_yes_leads_from_a_question_to_the_apply() -> None:
    for decision, own_lock, after in (
        ("approve", True, "Take the lock again"),
        ("approve", False, "Apply the plan"),
        ("reject", True, "Somebody said no"),
        ("", True, "Somebody said no"),
    ):
        state, _ = chosen(
            "What was decided?", approval={"decision": decision}, request={**ASKED, "own_lock": own_lock}
        )
        assert state == after
    # And there is no other way to an apply than these two and the verdict
    leading = {name for name, state in states(MACHINES["provision"]) if "Apply the plan" in targets(state)}
    assert leading == {"What does the plan ask for?", "What was decided?", "Take the lock again"}


@pytest.mark.parametrize(
    ("outcome", "drift", "own_lock", "told"),
    [
        ("nothing_to_change", True, True, False),
        ("drift_found", True, True, True),
        ("nothing_to_change", False, True, True),
        ("provisioned", False, False, False),
    ],
)
def test_people_hear_of_drift_only_when_there_is_some(
    outcome: str, drift: bool, own_lock: bool, told: bool
) -> None:
    text = named("provision", "Write the report")["Arguments"]["Payload"]["notify"]
    asked = {**ASKED, "drift": drift, "own_lock": own_lock}
    assert evaluated(text, {"request": asked, "outcome": outcome}) is told


def test_every_way_from_the_lock_to_the_end_of_a_provision_releases_it() -> None:
    machine = MACHINES["provision"]["States"]
    # Given the choices that look whose lock it is: the way of a run with a lock of its own
    own = {"Is the lock our own?": "Release the lock", "Did we take the lock?": "Give the lock back"}
    ends: set[str] = set()
    waiting: list[tuple[str, bool]] = [("Plan the changes", True)]
    seen = set()
    while waiting:
        state, held = waiting.pop()
        if (state, held) in seen:
            continue
        seen.add((state, held))
        held = held and state not in (
            "Release the lock",
            "Give the lock back",
            "Free the environment meanwhile",
        )
        held = held or state == "Take the lock again"
        if machine[state]["Type"] in ("Succeed", "Fail"):
            assert not held, state
            ends.add(state)
        following = [own[state]] if state in own else targets(machine[state])
        waiting += [(each, held) for each in following]
    assert ends == {"The run ended well", "Provisioning failed"}
