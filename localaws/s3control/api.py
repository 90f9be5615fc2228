"""CreateJob, DescribeJob, ListJobs, UpdateJobStatus, UpdateJobPriority and the tags of a job.

Exact: shapes, the idempotency of the token, pages and filter of ListJobs. Refused by name, as not
implemented: every operation but `S3PutObjectCopy`, its options that are not in `OPTIONS`, inventory reports
as manifests, filters of a generator that are not in `manifests.FILTERS`.
Not exact: a request with several faults names all of them; AWS names the first.
"""

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from moto.core.responses import ActionResult, EmptyResult
from moto.s3control.responses import S3ControlResponse

from localaws.operations import Refusal
from localaws.s3control.jobs import BadRequestError, Job, Jobs
from localaws.s3control.manifests import FILTERS
from localaws.s3control.worker import Worker

PATHS = (
    "/v20180820/jobs",
    "/v20180820/jobs/<job_id>",
    "/v20180820/jobs/<job_id>/status",
    "/v20180820/jobs/<job_id>/priority",
    "/v20180820/jobs/<job_id>/tagging",
)

OPTIONS = frozenset(
    {
        "TargetResource",
        "StorageClass",
        "TargetKeyPrefix",
        "MetadataDirective",
        "SSEAwsKmsKeyId",
        "BucketKeyEnabled",
    }
)
"""Members of `S3PutObjectCopy` that are honoured."""

FIELDS = frozenset({"Bucket", "Key", "VersionId", "Ignore"})
CSV_FORMAT = "S3BatchOperations_CSV_20180820"
ROLE = re.compile(r"arn:[^:]+:iam::\d{12}:role/.+")
BUCKET = re.compile(r"arn:[^:]+:s3:::[^/]+")
OBJECT = re.compile(r"arn:[^:]+:s3:::[^/]+/.+")
MOST_JOBS = 1000
MOST_TAGS = 50


def faults(request: dict[str, Any]) -> Iterator[str]:
    """Yield one sentence for each thing that is wrong with the parameters of CreateJob."""
    operation = request["Operation"].get("S3PutObjectCopy") or {}
    if not BUCKET.fullmatch(operation.get("TargetResource") or ""):
        yield "TargetResource must be the ARN of a bucket."
    if not ROLE.fullmatch(request["RoleArn"]):
        yield "RoleArn must be the ARN of a role."
    if ("Manifest" in request) == ("ManifestGenerator" in request):
        yield "Jobs take either a Manifest or a ManifestGenerator."
    if "Manifest" in request:
        spec, location = request["Manifest"]["Spec"], request["Manifest"]["Location"]
        fields = spec.get("Fields") or []
        if not {"Bucket", "Key"} <= set(fields) or not set(fields) <= FIELDS:
            yield "Fields of the manifest must be Bucket, Key and possibly VersionId or Ignore."
        if not OBJECT.fullmatch(location["ObjectArn"]):
            yield "ObjectArn of the manifest must be the ARN of an object."
    elif "ManifestGenerator" in request:
        generator = request["ManifestGenerator"].get("S3JobManifestGenerator") or {}
        if not BUCKET.fullmatch(generator.get("SourceBucket") or ""):
            yield "SourceBucket must be the ARN of a bucket."
        if generator.get("EnableManifestOutput") and "ManifestOutputLocation" not in generator:
            yield "EnableManifestOutput needs a ManifestOutputLocation."
    report = request["Report"]
    if report["Enabled"]:
        missing = [name for name in ("Bucket", "Format", "ReportScope") if not report.get(name)]
        if missing:
            yield f"A report needs {', '.join(missing)}."
        elif not BUCKET.fullmatch(report["Bucket"]):
            yield "Bucket of the report must be the ARN of a bucket."


def unsupported(request: dict[str, Any]) -> Iterator[str]:
    """Yield what the request asks for that is not implemented here."""
    for name, details in request["Operation"].items():
        if name != "S3PutObjectCopy":
            yield f"Operation.{name}"
            continue
        yield from (f"S3PutObjectCopy.{option}" for option in sorted(set(details) - OPTIONS))
        if details.get("MetadataDirective") == "REPLACE":
            yield "S3PutObjectCopy.MetadataDirective REPLACE"
    if "Manifest" in request and request["Manifest"]["Spec"]["Format"] != CSV_FORMAT:
        yield f"Manifest.Spec.Format {request['Manifest']['Spec']['Format']}"
    generator = (request.get("ManifestGenerator") or {}).get("S3JobManifestGenerator") or {}
    yield from (f"Filter.{name}" for name in sorted(set(generator.get("Filter") or {}) - set(FILTERS)))


class JobsResponse(S3ControlResponse):  # type: ignore[misc]
    """The actions on jobs; the other actions of S3 Control are moto's."""

    jobs: ClassVar[Jobs]
    worker: ClassVar[Worker]

    def _account(self) -> str:
        account = str(self.params["AccountId"])
        if account != self.current_account:
            raise Refusal(403, "AccessDenied", f"Jobs of the account {account} are not yours.")
        return account

    def _job(self) -> Job:
        return self.jobs.find(self._account(), self.region, self.params["JobId"])

    def create_job(self) -> ActionResult:
        """CreateJob."""
        account = self._account()
        request = {name: value for name, value in self.params.items() if name != "AccountId"}
        if refused := list(unsupported(request)):
            raise NotImplementedError(", ".join(refused))
        if wrong := list(faults(request)):
            raise BadRequestError(" ".join(wrong))
        job, new = self.jobs.create(account, self.region, request)
        if new:
            self.worker.start(job)
        return ActionResult({"JobId": job.job_id})

    def describe_job(self) -> ActionResult:
        """DescribeJob."""
        return ActionResult({"Job": _given(self._job().describe())})

    def list_jobs(self) -> ActionResult:
        """ListJobs."""
        statuses = self.params.get("JobStatuses") or []
        size = min(int(self.params.get("MaxResults") or MOST_JOBS), MOST_JOBS)
        token = self.params.get("NextToken")
        shown, following = self.jobs.page(self._account(), self.region, statuses, token, size)
        return ActionResult(
            _given({"Jobs": [_given(job.summary()) for job in shown], "NextToken": following})
        )

    def update_job_status(self) -> ActionResult:
        """UpdateJobStatus."""
        job = self._job()
        job.request_status(self.params["RequestedJobStatus"], self.params.get("StatusUpdateReason"))
        return ActionResult(
            _given(
                {
                    "JobId": job.job_id,
                    "Status": job.status,
                    "StatusUpdateReason": job.status_update_reason,
                }
            )
        )

    def update_job_priority(self) -> ActionResult:
        """UpdateJobPriority."""
        job = self._job()
        job.priority = int(self.params["Priority"])
        return ActionResult({"JobId": job.job_id, "Priority": job.priority})

    def get_job_tagging(self) -> ActionResult:
        """GetJobTagging."""
        return ActionResult({"Tags": self._job().tags})

    def put_job_tagging(self) -> EmptyResult:
        """PutJobTagging."""
        tags = self.params["Tags"]
        if len(tags) > MOST_TAGS:
            raise Refusal(400, "TooManyTagsException", f"A job takes at most {MOST_TAGS} tags.")
        self._job().tags = tags
        return EmptyResult()

    def delete_job_tagging(self) -> EmptyResult:
        """DeleteJobTagging."""
        self._job().tags = []
        return EmptyResult()


def _given(members: dict[str, Any]) -> dict[str, Any]:
    """Return the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}
