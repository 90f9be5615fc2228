"""S3 Control: S3 Batch Operations."""

from localaws.runtime import Runtime


def install(runtime: Runtime) -> None:  # noqa: ARG001
    """Make S3 Batch Operations real: called once, before the server answers its first request."""
