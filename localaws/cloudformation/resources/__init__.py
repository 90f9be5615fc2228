"""Every resource type that a stack may have."""

from localaws.cloudformation.resources import (
    builds,
    data,
    events,
    functions,
    identity,
    keys,
    messaging,
    statemachines,
    storage,
)
from localaws.cloudformation.resources.base import ResourceType

TYPES: dict[str, ResourceType] = {
    resource_type.name: resource_type
    for module in (builds, data, events, functions, identity, keys, messaging, statemachines, storage)
    for resource_type in module.TYPES
}
"""By name. A type that is not here is refused."""
