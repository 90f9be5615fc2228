"""Runs jobs, each in a thread of its own: New → Preparing → (Suspended →) Ready → Active → the end.

Exact: a job that needs confirmation waits as Suspended; one whose tasks fail more often than every second
time after at least 1,000 of them fails
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-job-status.html); a cancelled or failed job
reports on the tasks that ran.
Not true: priorities are kept and shown, but jobs run side by side and none is paused for another.
"""

import threading

from moto.s3.models import s3_backends

from localaws.runtime import Runtime
from localaws.s3control import manifests, reports
from localaws.s3control.acting import ActingRole
from localaws.s3control.copying import Copier, Outcome
from localaws.s3control.holding import Hold, Holds
from localaws.s3control.jobs import Job, JobFailure
from localaws.s3control.limit import SingleCopyLimit
from localaws.s3control.manifests import Task

THRESHOLD_AFTER_TASKS = 1000
THRESHOLD = 0.5
LOOK_SECONDS = 0.05
"""How often a job that waits on purpose looks whether it was cancelled."""


class Worker:
    """Runs the jobs of one server.

    Parameters
    ----------
    runtime:
        Of this server.
    limit:
        What may be copied at once.
    holds:
        The stops that tests ask for.
    """

    def __init__(self, runtime: Runtime, limit: SingleCopyLimit, holds: Holds) -> None:
        self._runtime = runtime
        self._limit = limit
        self._holds = holds
        self._stopping = threading.Event()
        self._running: dict[threading.Thread, Job] = {}

    def start(self, job: Job) -> None:
        """Begin a new job."""
        self._running = {thread: of for thread, of in self._running.items() if thread.is_alive()}
        thread = self._runtime.background(f"S3 batch operations job {job.job_id}", self._run, job)
        self._running[thread] = job

    def stop(self) -> None:
        """End every job where it is, because the server stops."""
        self._stopping.set()
        for job in self._running.values():
            with job.changed:
                job.changed.notify_all()
        for thread in self._running:
            thread.join(timeout=5)

    def _run(self, job: Job) -> None:
        try:
            self._perform(job)
        except JobFailure as failure:
            job.failures.append(failure)
            job.move("Failed")
        except Exception as error:
            job.failures.append(JobFailure("InternalError", f"{type(error).__name__}: {error}"))
            job.move("Failed")
            raise

    def _perform(self, job: Job) -> None:
        job.move("Preparing")
        backend = s3_backends[job.account]["aws"]
        role = ActingRole(job)
        tasks = manifests.tasks_of(job, backend, role)
        job.progress.total = len(tasks)
        if job.request.get("ConfirmationRequired") and job.move("Suspended"):
            with job.changed:
                job.changed.wait_for(lambda: job.status != "Suspended" or self._stopping.is_set())
        if self._stopping.is_set():
            return
        if not (job.move("Ready") and job.move("Active")):
            job.move("Cancelled")
            return
        operation = job.request["Operation"]["S3PutObjectCopy"]
        copier = Copier(backend, role, operation, self._limit, self._runtime.requests)
        results: list[tuple[Task, Outcome]] = []
        failure = self._copy(job, tasks, copier, results)
        if self._stopping.is_set():
            return
        if failure is not None:
            job.failures.append(failure)
        end = "Failing" if failure else "Completing"
        cancelled = not job.move(end)
        reports.write(job, results, backend, role)
        job.move("Cancelled" if cancelled else "Failed" if failure else "Complete")

    def _copy(
        self, job: Job, tasks: list[Task], copier: Copier, results: list[tuple[Task, Outcome]]
    ) -> JobFailure | None:
        hold, progress = self._holds.take(), job.progress
        for done, task in enumerate(tasks):
            if hold is not None and done == hold.after:
                self._wait(job, hold)
            if job.cancelling or self._stopping.is_set():
                return None
            outcome = copier.copy(task)
            results.append((task, outcome))
            if outcome.succeeded:
                progress.succeeded += 1
            else:
                progress.failed += 1
            ran = done + 1
            if ran >= THRESHOLD_AFTER_TASKS and progress.failed > THRESHOLD * ran:
                return JobFailure(
                    "FailureThresholdExceeded",
                    f"More than {THRESHOLD:.0%} of the tasks failed: {progress.failed} of {ran}.",
                )
        return None

    def _wait(self, job: Job, hold: Hold) -> None:
        hold.waiting = job.job_id
        while not (hold.released.wait(LOOK_SECONDS) or job.cancelling or self._stopping.is_set()):
            pass
        hold.waiting = None
