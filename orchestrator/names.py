"""Names and ARNs of an environment (contracts, section 1)."""

from dataclasses import dataclass

from aws_cdk import Aws


@dataclass(frozen=True)
class Names:
    """What things of one environment are called.

    Account, region and partition are CloudFormation's pseudo parameters, so that synthesis needs no
    credentials.
    """

    environment: str
    partition: str = Aws.PARTITION
    region: str = Aws.REGION
    account: str = Aws.ACCOUNT_ID

    @property
    def prefix(self) -> str:
        """Name of the stack and beginning of every other name."""
        return f"know-me-{self.environment}"

    def of(self, what: str) -> str:
        """Return the name of a thing of the environment."""
        return f"{self.prefix}-{what}"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource in the account and region of the stack."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def role(self, pattern: str) -> str:
        """Return the ARN of a role."""
        return f"arn:{self.partition}:iam::{self.account}:role/{pattern}"

    @property
    def role_path(self) -> str:
        """IAM path of the orchestrator's own roles.

        Terraform may manage roles called `know-me-<environment>-…` without a path: never these, among
        which is its own.
        """
        return f"/know-me/{self.environment}/orchestrator/"

    @property
    def artifacts_bucket(self) -> str:
        """Bucket with the run folders."""
        return self.of(f"artifacts-{self.account}")

    @property
    def state_bucket(self) -> str:
        """Bucket with Terraform's state."""
        return self.of(f"state-{self.account}")

    @property
    def lock_table(self) -> str:
        """Table with the lock of the environment."""
        return self.of("lock")

    @property
    def approvals_table(self) -> str:
        """Table of the plans that wait, or waited, for a decision."""
        return self.of("approvals")

    @property
    def approval_key(self) -> str:
        """Secret with the key that signs links to the page on which plans are decided."""
        return f"know-me/{self.environment}/approval-key"

    @property
    def approval_url_parameter(self) -> str:
        """SSM parameter with the address of that page."""
        return f"/know-me/{self.environment}/approval-url"

    @property
    def provision_undelivered(self) -> str:
        """Queue of what should have started `provision` and could not."""
        return self.of("provision-undelivered")

    @property
    def terraform_build(self) -> str:
        """Project that runs Terraform."""
        return self.of("terraform")

    @property
    def database_jobs_build(self) -> str:
        """Project that runs database jobs; Terraform makes it, in the VPC."""
        return self.of("database-jobs")

    @property
    def media_jobs_build(self) -> str:
        """Project that runs media jobs; Terraform makes it."""
        return self.of("media-jobs")

    @property
    def api(self) -> str:
        """The API: service, task definition family, CodeDeploy's application and deployment group."""
        return self.of("api")

    @property
    def cluster(self) -> str:
        """ARN of the ECS cluster, which Terraform makes."""
        return self.arn("ecs", f"cluster/{self.prefix}")

    @property
    def deployment_group(self) -> str:
        """ARN of CodeDeploy's deployment group of the API."""
        return self.arn("codedeploy", f"deploymentgroup:{self.api}/{self.api}")

    @property
    def media_buckets(self) -> str:
        """Pattern of the media buckets' names: one for each generation."""
        return self.of(f"media-*-{self.account}")

    @property
    def delivery_bucket(self) -> str:
        """Bucket of what the stages of the pipeline hand on; Terraform makes it."""
        return self.of(f"delivery-{self.account}")

    @property
    def web_bucket(self) -> str:
        """Bucket of the web app's files; Terraform makes it."""
        return self.of(f"web-{self.account}")

    def project(self, name: str) -> str:
        """Return the ARN of a CodeBuild project."""
        return self.arn("codebuild", f"project/{name}")

    def state_machine(self, name: str) -> str:
        """Return the ARN of a state machine of the environment."""
        return self.arn("states", f"stateMachine:{self.of(name)}")

    def executions(self, name: str, pattern: str = "*") -> str:
        """Return the ARN of executions of a state machine of the environment."""
        return self.arn("states", f"execution:{self.of(name)}:{pattern}")

    def map_executions(self, name: str) -> str:
        """Return the ARN of the executions that distributed maps of a state machine start."""
        return self.arn("states", f"execution:{self.of(name)}/*")

    def parameter(self, name: str) -> str:
        """Return the ARN of an SSM parameter of the environment."""
        return self.arn("ssm", f"parameter/know-me/{self.environment}/{name}")

    @property
    def generations_parameter(self) -> str:
        """Name of the SSM parameter by which the runbooks tell Terraform what generations there are."""
        return f"/know-me/{self.environment}/generations"

    def bucket(self, name: str, keys: str | None = None) -> str:
        """Return the ARN of a bucket, or of keys in it."""
        return f"arn:{self.partition}:s3:::{name}" + (f"/{keys}" if keys else "")
