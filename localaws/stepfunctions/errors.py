"""What goes wrong in a state machine: error names and how Retry and Catch match them.

Rules: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

ALL = "States.ALL"
TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
TASK_FAILED = "States.TaskFailed"
RUNTIME = "States.Runtime"
DATA_LIMIT_EXCEEDED = "States.DataLimitExceeded"
QUERY_EVALUATION_ERROR = "States.QueryEvaluationError"
NO_CHOICE_MATCHED = "States.NoChoiceMatched"
EXCEED_TOLERATED_FAILURES = "States.ExceedToleratedFailureThreshold"
ITEM_READER_FAILED = "States.ItemReaderFailed"
RESULT_WRITER_FAILED = "States.ResultWriterFailed"
PARAMETER_PATH_FAILURE = "States.ParameterPathFailure"
RESULT_PATH_MATCH_FAILURE = "States.ResultPathMatchFailure"
INTRINSIC_FAILURE = "States.IntrinsicFailure"

TERMINAL = frozenset({RUNTIME, DATA_LIMIT_EXCEEDED})
"""Errors that States.ALL does not match: the execution fails."""


class StateError(Exception):
    """An error of a state, as Retry and Catch see it.

    Parameters
    ----------
    error:
        Error name, for example `States.Timeout`.
    cause:
        What happened, in words or as a JSON document.
    reported:
        True when the history already carries an event for it (TaskFailed, for instance).
    location:
        Field of the state in which a query failed.
    """

    def __init__(
        self,
        error: str | None,
        cause: str | None = None,
        *,
        reported: bool = False,
        location: str | None = None,
    ) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
        self.reported = reported
        self.location = location

    def output(self) -> dict[str, str]:
        """Return the error output of a Catch: Error and, when there is one, Cause."""
        document = {"Error": self.error or ""}
        if self.cause is not None:
            document["Cause"] = self.cause
        return document


def matches(patterns: list[str], error: str | None) -> bool:
    """Return whether one of the `ErrorEquals` of a Retry or Catch matches an error name."""
    if error in patterns:
        return True
    if error in TERMINAL:
        return False
    if ALL in patterns:
        return True
    if TASK_FAILED in patterns and error not in (TIMEOUT, HEARTBEAT_TIMEOUT):
        return True
    return TIMEOUT in patterns and error == HEARTBEAT_TIMEOUT


class Stopped(BaseException):
    """The scope that a state runs in ended (StopExecution, a failed sibling): unwind, run nothing more.

    A BaseException so that no handler of ordinary errors takes it for a failure of the state.
    """
