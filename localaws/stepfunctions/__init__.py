"""Step Functions: state machines that really run.

True: the Amazon States Language with JSONata and JSONPath, variables, every state type, the optimised
integrations with Lambda, CodeBuild,
Step Functions, DynamoDB, SNS, SQS, ECS and EventBridge, `aws-sdk:` for every service, `.sync` and
`.waitForTaskToken`, Retry, Catch,
time limits, history, StopExecution, and the status changes on the default event bus. Every task is called
with temporary credentials of the
state machine's role.
Not implemented and refused by name: express workflows, activities, RedriveExecution, StartSyncExecution,
TestState.

moto's interpreter is not used: it needs a JVM for JSONata, leaves `.sync` jobs running when an execution is
stopped, and polls every two
seconds. moto keeps the state machines (versions, aliases, tags, CloudFormation).
"""

from localaws.runtime import Runtime


def install(runtime: Runtime) -> None:
    """Make Step Functions real: called once, before the server answers its first request."""
    from moto.stepfunctions import models, urls

    from localaws import events
    from localaws.stepfunctions import api
    from localaws.stepfunctions.executions import Engine

    api.StateMachines.engine = Engine(runtime, events.publisher(runtime))
    models.stepfunctions_backends.backend = api.StateMachines
    urls.url_paths["{0}/$"] = api.Response.dispatch
