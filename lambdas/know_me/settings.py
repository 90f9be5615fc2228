"""What a function is told about its environment, read when it is called."""

from typing import Literal

from pydantic_settings import BaseSettings

ApprovalMode = Literal["always", "changes", "destructive", "never"]
"""Which plans a person is asked about (contracts, section 11)."""


class Settings(BaseSettings):
    """Environment variables of every function (contracts, section 1)."""

    environment: str
    artifacts_bucket: str
    lock_table: str
    notification_topic_arn: str
    state_machine_arn_prefix: str
    execution_arn_prefix: str
    database_jobs_build: str
    media_jobs_build: str
    terraform_build: str
    single_copy_limit_bytes: int
    approval_mode: ApprovalMode
    approval_timeout_seconds: int

    @property
    def account_id(self) -> str:
        """The AWS account."""
        return self.state_machine_arn_prefix.split(":")[4]

    @property
    def region(self) -> str:
        """The AWS region."""
        return self.state_machine_arn_prefix.split(":")[3]

    def state_machine_arn(self, machine: str) -> str:
        """Return the ARN of one of this environment's state machines."""
        return f"{self.state_machine_arn_prefix}{machine}"

    def execution_arn(self, machine: str, name: str) -> str:
        """Return the ARN of an execution of one of this environment's state machines."""
        return f"{self.execution_arn_prefix}{machine}:{name}"
