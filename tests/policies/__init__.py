"""Policies that the infrastructure keeps: checkov over `terraform/`, cdk-nag over the stack."""
