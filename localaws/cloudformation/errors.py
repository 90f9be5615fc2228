"""Errors of CloudFormation's API, and of a resource that cannot be made."""

from moto.core.exceptions import ServiceException


class ValidationError(ServiceException):  # type: ignore[misc]
    """What CloudFormation answers to almost every wrong request."""

    code = "ValidationError"


class ChangeSetNotFound(ServiceException):  # type: ignore[misc]
    """There is no such change set."""

    code = "ChangeSetNotFound"


class AlreadyExists(ServiceException):  # type: ignore[misc]
    """There is such a stack or change set already."""

    code = "AlreadyExistsException"


class InvalidChangeSetStatus(ServiceException):  # type: ignore[misc]
    """The change set cannot be executed."""

    code = "InvalidChangeSetStatus"


class ResourceFailedError(Exception):
    """A resource cannot be made, changed or deleted; the message is the status reason of its event."""
