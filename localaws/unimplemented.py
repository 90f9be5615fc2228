"""Actions that nobody implements: one error at once, naming service and action.

Stock moto answers HTTP 500 or an empty 404, and SDKs repeat those for minutes. Here they are HTTP 400.
"""

from localaws.operations import Operation, Refusal

CODE = "NotImplemented"


def refusal(operation: Operation, reason: str = "") -> Refusal:
    """Return the error for an action that is not implemented.

    Parameters
    ----------
    operation:
        What was asked for.
    reason:
        What the code that gave up said about it.
    """
    detail = f" ({reason})" if reason and operation.action not in reason else ""
    return Refusal(
        400, CODE, f"{operation.service}:{operation.action} is not implemented by the local AWS{detail}"
    )
