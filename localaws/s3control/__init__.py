"""S3 Control: S3 Batch Operations that really copy.

True: jobs with the operation `S3PutObjectCopy` run, copy object by object with the permissions of their role,
fail per object, wait for confirmation, are cancelled, and write completion reports. What is exact and what is
not is said by each module: `api`, `jobs`, `worker`, `manifests`, `acting`, `copying`, `reports`. `limit` is
the size that one request may copy, `holding` stops a job in the middle for a test.

Where it answers: at the paths of the API, on every host name of the server. SDKs put the account id before
the host name (`123456789012.localhost`), and that does not resolve with a plain glibc; no name that leads to
the loopback addresses resolves below itself without root or a name server outside. So the state machines' own
calls keep the host as it is (`localaws.runtime`), a browser or curl resolve `*.localhost` by themselves,
machines with systemd-resolved or nss-myhostname can use the SDKs and the AWS CLI, and everybody else takes
the account from the host before the request is sent (botocore's event `before-sign.s3-control`, see
`localaws.runtime.keep_host`).

moto's other actions of S3 Control (access points, public access blocks) are its own.
"""

from typing import Any

from moto.iam.policy_validation import SERVICE_TYPE_REGION_INFORMATION_ERROR_ASSOCIATIONS
from moto.s3.responses import S3Response
from moto.s3control import urls

from localaws.runtime import Runtime
from localaws.s3control import holding, limit
from localaws.s3control.api import PATHS, JobsResponse
from localaws.s3control.jobs import TERMINAL, Jobs
from localaws.s3control.requests import limited
from localaws.s3control.worker import Worker


def install(runtime: Runtime) -> None:
    """Make S3 Batch Operations real: called once, before the server answers its first request."""
    single_copy, holds, jobs = limit.SingleCopyLimit(), holding.Holds(), Jobs()
    JobsResponse.jobs = jobs
    JobsResponse.worker = Worker(runtime, single_copy, holds)
    urls.url_paths |= dict.fromkeys(PATHS, JobsResponse.dispatch)
    S3Response.copy_object = limited(S3Response.copy_object, single_copy)
    S3Response.upload_part_copy = limited(S3Response.upload_part_copy, single_copy)

    # IAM refuses a region in an ARN of S3, but for those of access points and of jobs; moto forgot the jobs.
    SERVICE_TYPE_REGION_INFORMATION_ERROR_ASSOCIATIONS["s3"]["valid_starting_values"].append("job/")

    def running() -> list[dict[str, Any]]:
        return [job.summary() for job in jobs.all() if job.status not in TERMINAL]

    runtime.instances["s3control"] = lambda: [
        {"name": job["JobId"], "status": job["Status"], "description": job.get("Description") or ""}
        for job in running()
    ]
    runtime.routes[limit.PATH] = single_copy.route
    runtime.routes[holding.PATH] = holds.route
    runtime.on_shutdown(JobsResponse.worker.stop)
