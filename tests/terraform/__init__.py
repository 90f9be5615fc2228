"""Validate and test the Terraform modules: `python -m tests.terraform`."""
