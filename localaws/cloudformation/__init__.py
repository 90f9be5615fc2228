"""CloudFormation: stacks and change sets as the CDK command line uses them.

True: change sets; the intrinsic functions, conditions and parameter types in `template`; resources made,
changed in place, replaced and deleted in the order of their references, each through the API of its service
(so that what the other modules made real is what a stack gets); events per resource with the reason of a
failure; rollback of a creation and of an update; `DeletionPolicy` and `UpdateReplacePolicy`; exports; the
deployment's role. A resource type that is not in `resources.TYPES` is refused before anything is made; a
property that nobody handles fails its resource, and so the stack, with its name.

Not true: custom resources, nested stacks, macros, stack sets, drift, stack policies, imports, signals; stack
tags and `aws:cloudformation:` tags are not put on resources; resources are made one by one; a change set
compares what is written, so it does not list a resource that changes only because one that it refers to does.
"""

from localaws.cloudformation.api import StackResponse
from localaws.cloudformation.stacks import Stacks
from localaws.runtime import Runtime


def install(runtime: Runtime) -> None:
    """Make CloudFormation real: called once, before the server answers its first request.

    moto's own is replaced whole. It skips what it does not know without a word, makes several resources
    without half of their properties, and knows no rollback.
    """
    from moto.cloudformation import urls

    StackResponse.stacks = Stacks(runtime)
    for path in list(urls.url_paths):
        urls.url_paths[path] = StackResponse.dispatch
