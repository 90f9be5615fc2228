"""Rules of the Terraform build."""
