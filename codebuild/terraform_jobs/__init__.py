"""Terraform in a build: make a plan and keep it, later apply exactly that plan.

`python -m terraform_jobs --help` is the manual. What passes between this build and the runbooks is in
docs/develop/contracts.md, sections 3 and 5.
"""
