"""What the approval of plans needs: its table, the key that signs links, and the page's address."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from orchestrator.names import Names
from orchestrator.permissions import acknowledge

KEY_CHARACTERS = 64


class Approval(Construct):
    """Table, key, and the URL of the function that decides.

    The URL is in an SSM parameter, which the steps read when they run: a function cannot have an address in
    its environment that is made after it.
    """

    def __init__(self, scope: Construct, identifier: str, names: Names, *, decide: lambda_.Function) -> None:
        super().__init__(scope, identifier)
        self.table = dynamodb.Table(
            self,
            "Table",
            table_name=names.approvals_table,
            partition_key=dynamodb.Attribute(name="run_id", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            time_to_live_attribute="forget_at",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.key = secretsmanager.Secret(
            self,
            "Key",
            secret_name=names.approval_key,
            description=f"Signs the links by which plans of {names.prefix} are approved",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=KEY_CHARACTERS, exclude_punctuation=True
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        acknowledge(
            self.key,
            "AwsSolutions-SMG4",
            "A new key makes every link that waits worthless: it is replaced by hand, when somebody had it, "
            "and links end by themselves",
        )
        # A link is opened in a browser, in which nobody is signed in to AWS: the signature is the permission.
        self.url = decide.add_function_url(auth_type=lambda_.FunctionUrlAuthType.NONE)
        ssm.StringParameter(
            self,
            "Address",
            parameter_name=names.approval_url_parameter,
            description=f"Where plans of {names.prefix} are approved",
            string_value=self.url.url,
        )
