"""The CDK app: what of the runbooks AWS has to know, one stack per environment.

It knows the names of `statemachines/`, `lambdas/` and `codebuild/` and none of their logic.
"""
