"""What a job is given, checked before anything is touched."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from media_jobs.objects import Versions

BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Phase = Literal["before", "ahead", "final", "after"]

LARGEST_SINGLE_COPY = 5 * 1024**3
"""Bytes: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html."""


class JobInputs(BaseModel):
    """The options of a command line, after parsing."""

    model_config = ConfigDict(frozen=True)

    run_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")
    run_folder: str = Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^/].*$")
    phase: Phase
    round: int = Field(default=1, ge=1, le=99)
    source_bucket: BucketName | None = None
    candidate_bucket: BucketName | None = None
    changes_queue_url: str | None = Field(default=None, pattern=r"^https?://.+$")
    versions: Versions = "current"
    metadata_sample: Annotated[int, Field(ge=0, le=1_000_000)] | Literal["all"] = 1000
    single_copy_limit_bytes: int = Field(default=LARGEST_SINGLE_COPY, ge=1, le=LARGEST_SINGLE_COPY)
    resumed_at: AwareDatetime | None = None
    large_objects_file: Path | None = None

    @property
    def resumed(self) -> datetime:
        """When the app ran again; a job that needs it is refused without it."""
        assert self.resumed_at is not None  # noqa: S101 - for the type checker: the command line sees to it
        return self.resumed_at


def faults(error: ValidationError) -> list[str]:
    """Return one sentence per fault of a validation error."""
    return [
        f"{'.'.join(str(part) for part in fault['loc']) or 'input'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    ]
