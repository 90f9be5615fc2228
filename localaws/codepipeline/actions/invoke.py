"""Invocation of a Lambda function: https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-Lambda.html.

The function is invoked once with a job, and says by PutJobSuccessResult or PutJobFailureResult how it ended;
with a continuation token it is invoked again after seconds. The job carries no artifact credentials.
"""

import json
import threading
import time
import uuid
from typing import Any

from localaws.codepipeline.actions.work import ActionType, Result, Work
from localaws.codepipeline.errors import ActionFailed, PipelineError

INTERVAL_SECONDS = 0.2
AGAIN_SECONDS = 2.0
TIMEOUT_SECONDS = 20 * 60.0
"""As on AWS: how long a function may take to answer."""


class Jobs:
    """Jobs that wait for their function's answer."""

    def __init__(self) -> None:
        self._answers: dict[str, dict[str, Any] | None] = {}
        self._lock = threading.Lock()

    def open(self) -> str:
        """Return the id of a new job."""
        job = str(uuid.uuid4())
        with self._lock:
            self._answers[job] = None
        return job

    def answer(self, job: str, answer: dict[str, Any]) -> None:
        """Keep a function's answer: `failureDetails`, or none for success.

        Raises
        ------
        PipelineError
            There is no such job, or it was answered.
        """
        with self._lock:
            if job not in self._answers:
                raise PipelineError("JobNotFoundException", f"Job {job} does not exist.")
            if self._answers[job] is not None:
                raise PipelineError("InvalidJobStateException", f"Job {job} has been answered already.")
            self._answers[job] = answer

    def take(self, job: str) -> dict[str, Any] | None:
        """Return the answer and forget the job, or None while there is none."""
        with self._lock:
            found = self._answers.get(job)
            if found is not None:
                del self._answers[job]
            return found

    def close(self, job: str) -> None:
        """Forget a job."""
        with self._lock:
            self._answers.pop(job, None)


jobs = Jobs()


def run(work: Work) -> Result:
    """Invoke the function until it says that it is done."""
    token: str | None = None
    places = [work.store.place(name) for name in work.outputs]
    while True:
        job = jobs.open()
        try:
            answer = _ask(work, job, token, places)
        finally:
            jobs.close(job)
        if "failureDetails" in answer:
            details = answer["failureDetails"]
            work.run.external_id = details.get("externalExecutionId", work.run.external_id)
            raise ActionFailed(details["type"], details["message"])
        work.run.summary = (answer.get("executionDetails") or {}).get("summary", "")
        token = answer.get("continuationToken")
        if token is None:
            written = tuple(place for place in places if work.store.exists(place))
            return Result(written, answer.get("outputVariables") or {})
        work.pause(AGAIN_SECONDS)


def _ask(work: Work, job: str, token: str | None, places: list[Any]) -> dict[str, Any]:
    data: dict[str, Any] = {
        "actionConfiguration": {"configuration": dict(work.configuration)},
        "inputArtifacts": [
            {**_located(artifact), "revision": artifact.revision or None} for artifact in work.inputs
        ],
        "outputArtifacts": [{**_located(place), "revision": None} for place in places],
        **({"continuationToken": token} if token else {}),
    }
    event = {
        "CodePipeline.job": {"id": job, "accountId": work.execution.pipeline_arn.split(":")[4], "data": data}
    }
    answered = work.client("lambda").invoke(
        FunctionName=work.configuration["FunctionName"],
        InvocationType="Event",
        Payload=json.dumps(event).encode(),
    )
    work.run.external_id = answered["ResponseMetadata"].get("RequestId", "")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        answer = jobs.take(job)
        if answer is not None:
            return answer
        work.pause(INTERVAL_SECONDS)
    raise ActionFailed(
        "JobFailed",
        f"The function {work.configuration['FunctionName']} did not say within 20 minutes how its job ended: "
        "it has to call PutJobSuccessResult or PutJobFailureResult.",
    )


def _located(artifact: Any) -> dict[str, Any]:
    place = {"bucketName": artifact.bucket, "objectKey": artifact.key}
    return {"name": artifact.name, "location": {"type": "S3", "s3Location": place}}


TYPE = ActionType(
    "Invoke",
    "Lambda",
    run,
    frozenset({"FunctionName"}),
    ("UserParameters",),
    range(6),
    range(6),
)
