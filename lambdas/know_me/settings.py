"""What a function is told about its environment, read when it is called."""

from pydantic_settings import BaseSettings


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

    @property
    def account_id(self) -> str:
        """The AWS account."""
        return self.state_machine_arn_prefix.split(":")[4]

    def state_machine_arn(self, machine: str) -> str:
        """Return the ARN of one of this environment's state machines."""
        return f"{self.state_machine_arn_prefix}{machine}"

    def execution_arn(self, machine: str, name: str) -> str:
        """Return the ARN of an execution of one of this environment's state machines."""
        return f"{self.execution_arn_prefix}{machine}:{name}"
