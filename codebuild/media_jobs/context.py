"""What every job is handed: its inputs and the means to work with them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.config import Config
from job_support.progress import Progress
from job_support.run_folder import RunFolder

from media_jobs.inputs import JobInputs
from media_jobs.listing import remember_order
from media_jobs.objects import Buckets
from media_jobs.properties import default_encryption
from media_jobs.putting_right import PuttingRight
from media_jobs.tally import Sample, Tally
from media_jobs.workers import THREADS


@dataclass
class JobContext:
    """A job's surroundings.

    Parameters
    ----------
    inputs
        The checked options.
    folder
        The run folder.
    progress
        Where the job tells how far it is.
    directory
        A private temporary directory, deleted when the job ends.
    s3, sqs
        boto3 clients.
    """

    inputs: JobInputs
    folder: RunFolder
    progress: Progress
    directory: Path
    s3: Any
    sqs: Any

    @property
    def source(self) -> str:
        """The old bucket."""
        return self.inputs.source_bucket or ""

    @property
    def candidate(self) -> str:
        """The new bucket."""
        return self.inputs.candidate_bucket or ""

    @property
    def buckets(self) -> Buckets:
        """Both sides."""
        return Buckets(self.s3, self.source, self.candidate)

    def putting_right(self) -> PuttingRight:
        """Return the means to make a key of the candidate equal to the source's."""
        inputs, encryption = self.inputs, default_encryption(self.s3, self.candidate)
        return PuttingRight(self.buckets, inputs.versions, inputs.single_copy_limit_bytes, encryption)

    def tally(self) -> Tally:
        """Return an empty tally that draws the sample this job was asked for."""
        asked = self.inputs.metadata_sample
        # All of them are compared as they come: no sample has to be drawn.
        return Tally(Sample(asked if asked != "all" else 0, self.inputs.run_id), self.progress)

    def expected_objects(self) -> int:
        """Return how many objects the survey counted, 0 when there was none."""
        survey = self.folder.read_json("media/survey.json") or {}
        return int(survey.get("objects", 0))

    def write(self, name: str, document: Any) -> None:
        """Write a document of this phase."""
        self.folder.write_json(f"media/{self.inputs.phase}/{name}", document)

    def write_large_objects(self, objects: list[dict[str, Any]], *within: str) -> None:
        """Write `media/<within>/large-objects.json`, and how many there are where the build looks for it.

        Compact: a distributed map reads it, and there may be many.
        """
        name = "/".join(("media", *within, "large-objects.json"))
        path = self.directory / "large-objects.json"
        path.write_text(json.dumps(objects, ensure_ascii=False))
        self.folder.upload(path, name, content_type="application/json")
        self.tell_large_objects(len(objects))

    def tell_large_objects(self, count: int) -> None:
        """Write for the build how many large objects are left."""
        if self.inputs.large_objects_file:
            self.inputs.large_objects_file.write_text(f"{count}\n")


def s3_client(session: Any) -> Any:
    """Return a client for many threads, patient with an S3 that asks to slow down."""
    config = Config(max_pool_connections=2 * THREADS, retries={"mode": "standard", "total_max_attempts": 8})
    s3 = session.client("s3", config=config)
    remember_order(s3)
    return s3
