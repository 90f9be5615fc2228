"""The runbooks of `statemachines/`, deployed with steps and builds that do as a test tells them.

Every step is one function that answers what it is told, and a build only ends as told. What the state
machines call themselves is real: snapshots, rules, S3 Batch Operations, parts of objects.
"""

import io
import json
import re
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localaws.runtime import keep_host
from tests.local.conftest import LocalAWS
from tests.local.waiting import eventually

DEFINITIONS = Path(__file__).parents[2] / "statemachines"
MACHINES = ("provision", "move-database", "move-media", "return", "migrate")
DATABASE = {"generation": "blue", "instance_id": "no-such-instance", "endpoint": "blue.example.com"}
CANDIDATE = {"generation": "green", "instance_id": "green", "endpoint": "green.example.com"}
LATER = "2999-01-01T00:00:00+00:00"
SINGLE_COPY_LIMIT = 6 * 1024**2
COLUMNS = [{"table": "public.know_me_photo", "column": "file", "prefix": "media/"}]

ANSWERS: dict[str, Any] = {
    "ValidateProvision": {
        "run_id": "x",
        "holder": "someone",
        "own_lock": True,
        "action": "apply",
        "targets": [],
        "replace": [],
        "drift": False,
        "acting_for": None,
        "approval_mode": "destructive",
        "approval_timeout_seconds": 86400,
        "bundle": None,
        "source_location": None,
    },
    "JudgePlan": {
        "verdict": "allowed",
        "sentence": "The plan: 1 to create.",
        "counts": {"create": 1, "update": 0, "replace": 0, "delete": 0},
        "destructive": 0,
        "foreign_rules": 0,
        "refusals": [],
    },
    "ValidateMigration": {
        "run_id": "x",
        "environment": "staging",
        "stores": ["database"],
        "source": "blue",
        "source_database": DATABASE,
        "candidate": "green",
        "candidate_settings": {},
        "snapshot": "know-me-staging-snapshot",
        "media_source": None,
        "media_candidate": None,
        "source_bucket": None,
        "copy_ahead": True,
        "versions": "current",
        "metadata_sample": 1000,
        "single_copy_limit_bytes": SINGLE_COPY_LIMIT,
        "file_columns": COLUMNS,
        "preflight_only": False,
        "grace_seconds": 0,
        "job_timeout_seconds": 60,
        "run_folder": "s3://b/runs/x",
    },
    "TakeLock": {"taken": True},
    "FindDatabasesWithoutRole": {"databases": [], "services": []},
    "FindCandidate": {
        "source": DATABASE,
        "candidate": CANDIDATE,
        "source_bucket": None,
        "candidate_bucket": None,
        "copy_role_arn": "arn:aws:iam::123456789012:role/nobody",
    },
    "HoldReleases": {"deadline": LATER},
    "CheckReleases": {"quiet": True, "still_running": []},
    "Quiesce": {"deadline": LATER},
    "CheckQuiet": {"quiet": True, "still_running": []},
    "Resume": {"deadline": LATER},
    "CheckRunning": {"running": True, "waiting_for": []},
    "PointApplication": {"changed": True, "pointed_at": "2026-03-01T11:59:00.000+00:00"},
    "SmokeTest": {"passed_at": "2026-03-01T12:00:00+00:00"},
    "WriteReport": {"report": "s3://b/runs/x/report.html", "outcome": "told", "sentence": "Told."},
    "ClaimRun": {"claimed": True, "run_id": "x", "attempt": 1, "suffix": "", "message": "claimed"},
    "StopRun": {"ended": True, "waiting_for": []},
    "RestoreGenerations": {
        "old": DATABASE,
        "candidate": "green",
        "candidate_fate": "kept",
        "old_bucket": None,
        "media_candidate": None,
        "media_candidate_fate": "never made",
        "cutover_begun": True,
        "provision_needed": True,
        "fenced": True,
        "media_fenced": False,
        "quiesced": True,
        "touched": True,
    },
    "CheckApplicationStores": {"warning": "Terraform failed."},
    "StopMediaWrites": {"changed": True},
    "AllowMediaWrites": {"changed": True},
    "PlanMediaCopy": {"needs_comparison": False, "batch_jobs": [], "large_objects": 0},
    "JudgeCopyJob": {"retry": None, "total": 3, "succeeded": 3, "failed": 0, "gone": 0},
    "BeginLargeCopy": {"done": True, "key": "large", "missing_parts": []},
}

NOT_CUT = {
    "RestoreGenerations": {**ANSWERS["RestoreGenerations"], "cutover_begun": False, "provision_needed": False}
}
UNTOUCHED = {
    "RestoreGenerations": {
        **ANSWERS["RestoreGenerations"],
        **dict.fromkeys(("cutover_begun", "provision_needed", "fenced", "quiesced", "touched"), False),
    }
}

FUNCTION = """
import json, os
SCRIPT = json.loads(os.environ["SCRIPT"])
def handler(event, context):
    step, payload = event["step"], event["payload"]
    print(json.dumps({"step": step, "payload": payload}))
    answer = SCRIPT.get(step, {})
    if isinstance(answer, list):
        answer = next(rule["then"] for rule in answer if rule["when"].items() <= payload.items())
    if "raise" in answer:
        raise type(answer["raise"], (Exception,), {})(answer["message"])
    if step == "ExplainFailure" and not answer:
        caught = payload["caught"]
        try:
            words = json.loads(caught.get("Cause", ""))
        except ValueError:
            return {"error": caught["Error"], "cause": caught.get("Cause", "no cause")}
        return {"error": words.get("Error", caught["Error"]),
                "cause": words.get("errorMessage", words.get("Cause", "a build"))}
    return answer
"""


def s3control_client(aws: LocalAWS) -> Any:
    """Return a client of S3 Control that reaches the server by its plain name."""
    client = aws.client("s3control")
    client.meta.events.register("before-sign.s3-control", keep_host)
    return client


class Runbooks:
    """The state machines, as deployed, with steps and builds that do as told.

    Parameters
    ----------
    aws, role
        Where, and a role that may do everything.
    script
        Step → its answer, `{"raise": name, "message": …}`, or a list of `{"when": …, "then": …}` by payload.
    failing_builds
        Pattern (as bash has them) of `<job or action> <run id>`.
    artifacts
        The artifacts bucket.
    large_objects
        How many large objects a media job leaves in each round.
    """

    def __init__(
        self,
        aws: LocalAWS,
        role: str,
        script: dict[str, Any],
        failing_builds: str = "",
        artifacts: str = "b",
        large_objects: str = "0 0 0",
    ) -> None:
        self.states = aws.client("stepfunctions")
        name = f"runbooks-{uuid.uuid4().hex[:8]}"
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr("step.py", FUNCTION)
        function = aws.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role=role,
            Handler="step.handler",
            Code={"ZipFile": archive.getvalue()},
            Timeout=30,
            Environment={"Variables": {"SCRIPT": json.dumps({**ANSWERS, **script})}},
        )["FunctionArn"]
        codebuild = self._codebuild = aws.client("codebuild")
        command = (
            f'if [[ "${{JOB:-$ACTION}} $RUN_ID" == {failing_builds or "nothing"} ]]; then exit 1; fi; '
            f"export PLAN_CHANGES=1; left=({large_objects}); "
            'export LARGE_OBJECTS="${left[${ROUND:-1} - 1]}"'
        )
        buildspec = {
            "version": 0.2,
            "env": {"shell": "bash", "exported-variables": ["PLAN_CHANGES", "LARGE_OBJECTS"]},
            "phases": {"build": {"on-failure": "ABORT", "commands": [command]}},
        }
        codebuild.create_project(
            name=name,
            source={"type": "NO_SOURCE", "buildspec": json.dumps(buildspec)},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:7.0",
                "computeType": "BUILD_GENERAL1_SMALL",
            },
            serviceRole=role,
        )
        account = function.split(":")[4]
        self.arns: dict[str, str] = {}
        substitutions = {
            "Environment": "staging",
            "AccountId": account,
            "ArtifactsBucket": artifacts,
            "TerraformBuild": name,
            "DatabaseJobsBuild": name,
            "MediaJobsBuild": name,
        }
        for machine in MACHINES:
            title = machine.title().replace("-", "")
            self.arns[machine] = f"arn:aws:states:us-east-1:{account}:stateMachine:{name}-{machine}"
            substitutions[f"{title}StateMachine"] = self.arns[machine]
        for machine in self.arns:
            definition = json.loads((DEFINITIONS / f"{machine}.asl.json").read_text())
            text = json.dumps(_told(definition, function))
            text = re.sub(r"\$\{(\w+)\}", lambda found: substitutions[found[1]], text)
            self.states.create_state_machine(name=f"{name}-{machine}", definition=text, roleArn=role)

    def run(self, machine: str, document: Any) -> dict[str, Any]:
        """Run a state machine to its end."""
        return self.end(self.start(machine, document))

    def start(self, machine: str, document: Any) -> str:
        """Start a state machine and return the ARN of the execution."""
        started = self.states.start_execution(
            stateMachineArn=self.arns[machine], name=f"x{uuid.uuid4().hex[:8]}", input=json.dumps(document)
        )
        return str(started["executionArn"])

    def end(self, execution: str) -> dict[str, Any]:
        """Wait for the end of an execution."""
        eventually(lambda: self._described(execution)["status"] != "RUNNING")
        return self._described(execution)

    def wait_for_state(self, execution: str, state: str) -> None:
        """Wait until an execution has entered a state."""
        eventually(lambda: state in self.path(execution))

    def _described(self, execution: str) -> dict[str, Any]:
        described: dict[str, Any] = self.states.describe_execution(executionArn=execution)
        return described

    def path(self, execution: str) -> list[str]:
        """Return the states that an execution entered, in order."""
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in self._history(execution)
            if "stateEnteredEventDetails" in event
        ]

    def asked(self, execution: str, step: str) -> list[dict[str, Any]]:
        """Return what an execution asked of a step, in order."""
        arguments = self._arguments(execution)
        return [
            each["Payload"]["payload"] for each in arguments if each.get("Payload", {}).get("step") == step
        ]

    def builds(self, execution: str) -> list[dict[str, str]]:
        """Return the variables of every build that an execution started, in order."""
        return [
            {item["Name"]: item["Value"] for item in each["EnvironmentVariablesOverride"]}
            for each in self._arguments(execution)
            if "EnvironmentVariablesOverride" in each
        ]

    def built(self, execution: str) -> list[dict[str, Any]]:
        """Return CodeBuild's own description of every build that an execution started, in order."""
        ended = [
            json.loads(event["taskSucceededEventDetails"]["output"])["Build"]["Id"]
            for event in self._history(execution)
            if event.get("taskSucceededEventDetails", {}).get("resourceType") == "codebuild"
        ]
        found = self._codebuild.batch_get_builds(ids=ended)["builds"]
        return sorted(found, key=lambda build: ended.index(build["id"]))

    def _arguments(self, execution: str) -> list[dict[str, Any]]:
        return [
            json.loads(event["taskScheduledEventDetails"]["parameters"])
            for event in self._history(execution)
            if "taskScheduledEventDetails" in event
        ]

    def _history(self, execution: str) -> list[dict[str, Any]]:
        pages = self.states.get_paginator("get_execution_history").paginate(executionArn=execution)
        return [event for page in pages for event in page["events"]]

    def child(self, execution: str, machine: str, suffix: str) -> str:
        """Return the ARN of a child execution, which need not exist."""
        state_machine = self.arns[machine].replace(":stateMachine:", ":execution:")
        return f"{state_machine}:{execution.rpartition(':')[2]}{suffix}"

    def exists(self, execution: str) -> bool:
        """Whether an execution was ever started."""
        try:
            self.states.describe_execution(executionArn=execution)
        except self.states.exceptions.ExecutionDoesNotExist:
            return False
        return True


def _told(document: Any, function: str) -> Any:
    """Make every step call the one function, with its own name."""
    if isinstance(document, list):
        return [_told(item, function) for item in document]
    if not isinstance(document, dict):
        return document
    if "FunctionName" in document and "Payload" in document:
        step = document["FunctionName"].removeprefix("${").removesuffix("Function}")
        return {"FunctionName": function, "Payload": {"step": step, "payload": document["Payload"]}}
    return {key: _told(value, function) for key, value in document.items()}


@dataclass(frozen=True)
class Media:
    """Two media buckets, the artifacts bucket, a rule that hears of changes, and a role that copies."""

    aws: LocalAWS
    name: str
    copy_role: str

    @property
    def artifacts(self) -> str:
        """Name of the artifacts bucket."""
        return f"{self.name}-artifacts"

    @property
    def rule(self) -> str:
        """Name of the rule that hears of changes in the old bucket."""
        return f"{self.name}-changes"

    def generation(self, name: str) -> dict[str, str]:
        """Return a bucket as the manifest has it."""
        return {
            "generation": name,
            "bucket": f"{self.name}-{name}",
            "changes_rule": self.rule,
            "changes_queue_url": "https://sqs/queue",
        }

    def input(self, phase: str, **change: Any) -> dict[str, Any]:
        """Return an input of `move-media` (contracts, section 4a)."""
        return {
            "run_id": self.name,
            "run_folder": f"s3://{self.artifacts}/runs/{self.name}",
            "phase": phase,
            "had_ahead": phase == "final",
            "source": self.generation("blue"),
            "candidate": self.generation("green"),
            "source_database": DATABASE,
            "copy_role_arn": self.copy_role,
            "file_columns": COLUMNS,
            "versions": "current",
            "metadata_sample": 1000,
            "single_copy_limit_bytes": SINGLE_COPY_LIMIT,
            "job_timeout_seconds": 60,
            **change,
        }

    def migration(self, **change: Any) -> dict[str, Any]:
        """Return answers for a migration that moves the media (alone, unless told otherwise)."""
        migration = {
            **ANSWERS["ValidateMigration"],
            "stores": ["media"],
            "candidate": None,
            "snapshot": None,
            "media_source": "blue",
            "media_candidate": "green",
            "source_bucket": self.generation("blue"),
            **change,
        }
        found = {
            **ANSWERS["FindCandidate"],
            "source": migration["source_database"],
            "candidate": CANDIDATE if migration["candidate"] else None,
            "source_bucket": self.generation("blue"),
            "candidate_bucket": self.generation("green"),
            "copy_role_arn": self.copy_role,
        }
        way_back = {
            **ANSWERS["RestoreGenerations"],
            "old_bucket": self.generation("blue"),
            "media_candidate": "green",
            "media_candidate_fate": "kept",
            "media_fenced": True,
        }
        return {
            "ValidateMigration": migration,
            "FindCandidate": found,
            "RestoreGenerations": way_back,
            "PlanMediaCopy": {"needs_comparison": False, "batch_jobs": [STANDARD], "large_objects": 0},
        }

    def keys(self, generation: str) -> set[str]:
        """Return the keys of a bucket."""
        pages = (
            self.aws.client("s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=f"{self.name}-{generation}")
        )
        return {listed["Key"] for page in pages for listed in page.get("Contents", [])}

    def put(self, generation: str, **objects: bytes) -> None:
        """Put objects into a bucket."""
        for key, body in objects.items():
            self.aws.client("s3").put_object(Bucket=f"{self.name}-{generation}", Key=key, Body=body)

    def keep(self, key: str, body: str) -> str:
        """Put a document into the run's folder; return its ETag."""
        path = f"runs/{self.name}/media/{key}"
        kept = self.aws.client("s3").put_object(Bucket=self.artifacts, Key=path, Body=body.encode())
        return str(kept["ETag"]).strip('"')

    def rule_state(self) -> str:
        """Return ENABLED or DISABLED."""
        return str(self.aws.client("events").describe_rule(Name=self.rule)["State"])

    def copy_jobs(self) -> list[dict[str, Any]]:
        """Return the descriptions of the copy jobs of this run, the oldest first."""
        client = s3control_client(self.aws)
        listed = client.list_jobs(AccountId=ACCOUNT, MaxResults=1000)["Jobs"]
        own = [job["JobId"] for job in listed if job.get("Description", "").startswith(f"{self.name} ")]
        described = [client.describe_job(AccountId=ACCOUNT, JobId=job)["Job"] for job in own]
        return sorted(described, key=lambda job: job["CreationTime"])


ACCOUNT = "123456789012"
STANDARD = {"name": "standard", "storage_class": "STANDARD", "objects": 3, "manifest": None}


def new_media(aws: LocalAWS) -> Media:
    """Make buckets with three objects on the old side, and a rule that does not listen."""
    media = Media(
        aws, f"media-{uuid.uuid4().hex[:8]}", aws.all_powerful_role("batchoperations.s3.amazonaws.com")
    )
    for what in ("artifacts", "blue", "green"):
        aws.client("s3").create_bucket(Bucket=f"{media.name}-{what}")
    pattern = json.dumps({"source": [media.name]})
    aws.client("events").put_rule(Name=media.rule, EventPattern=pattern, State="DISABLED")
    media.put("blue", one=b"1", two=b"22", three=b"333")
    return media
