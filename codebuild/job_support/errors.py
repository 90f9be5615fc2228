"""Errors that a person meets: a name for machines, a cause in plain words and a remedy."""


class JobError(Exception):
    """A job cannot do its work.

    Parameters
    ----------
    name
        One of the error names of the contracts, for example `DumpFailed`.
    cause
        Sentences that name the thing that failed.
    remedy
        What a person does about it.
    """

    def __init__(self, name: str, cause: str, remedy: str) -> None:
        super().__init__(f"{cause} {remedy}")
        self.name = name
        self.cause = cause
        self.remedy = remedy


class JobInterruptedError(JobError):
    """The build was stopped or ran out of time: it received a signal."""

    def __init__(self, name: str, signal_name: str) -> None:
        super().__init__(
            name,
            f"The job was stopped from outside ({signal_name}): somebody stopped the build, or it timed out.",
            "Start the run again; allow more time with job_timeout_seconds when it timed out.",
        )
