"""What we lean on inside moto. A failure here after an upgrade means: read that module of localaws again."""

import inspect
from typing import Any
from unittest.mock import Mock

import pytest
from moto import backends
from moto.acm.models import AWSCertificateManagerBackend, CertBundle
from moto.awslambda.models import FunctionUrlConfig, LambdaBackend, LambdaFunction
from moto.awslambda.responses import LambdaResponse
from moto.cloudfront import models as cloudfront
from moto.cloudfront.responses import CloudFrontResponse
from moto.codebuild.models import CodeBuildBackend, codebuild_backends
from moto.codebuild.responses import CodeBuildResponse
from moto.codepipeline.models import CodePipelineBackend, codepipeline_backends
from moto.codepipeline.responses import CodePipelineResponse
from moto.core.base_backend import BaseBackend
from moto.core.responses import BaseResponse
from moto.core.serialize import get_serializer_class
from moto.ecr.models import ECRBackend, Image
from moto.ecr.responses import ECRResponse
from moto.iam.policy_validation import SERVICE_TYPE_REGION_INFORMATION_ERROR_ASSOCIATIONS
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.route53.models import FakeZone, RecordSet
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response
from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend
from moto.sqs.models import Message, Queue, SQSBackend
from moto.sts.models import STSBackend
from moto.sts.responses import TokenResponse
from moto.wafv2.models import WAFV2Backend

from localaws.server import list_services_once

PARAMETERS = [
    (LambdaFunction.__init__, ["self", "account_id", "spec", "region", "version"]),
    (LambdaFunction.invoke, ["self", "body", "request_headers", "response_headers"]),
    (LambdaFunction.update_configuration, ["self", "config_updates"]),
    (LambdaFunction.get_configuration, ["self", "on_create"]),
    (LambdaBackend.delete_function, ["self", "function_name", "qualifier"]),
    (LambdaBackend.layers_versions_by_arn, ["self", "layer_version_arn"]),
    (FunctionUrlConfig.__init__, ["self", "function", "config"]),
    (LambdaResponse._enrich_response, ["headers", "body"]),
    (CodeBuildBackend.__init__, ["self", "region_name", "account_id"]),
    (CodeBuildBackend.delete_project, ["self", "project_name"]),
    (CodePipelineBackend.__init__, ["self", "region_name", "account_id"]),
    (
        ECRBackend.put_image,
        ["self", "repository_name", "image_manifest", "image_tag", "image_manifest_mediatype", "digest"],
    ),
    (Image._create_digest, ["self"]),
    (ECRResponse.get_authorization_token, ["self"]),
    (FakeBucket.get_permission, ["self", "action", "resource"]),
    (S3Response._bucket_response, ["self", "request", "full_url"]),
    (S3Response._key_response, ["self", "request", "full_url"]),
    (S3Response.get_bucket_notification, ["self"]),
    (SQSBackend.is_message_valid_based_on_retention_period, ["self", "queue_name", "message"]),
    (CertBundle.describe, ["self"]),
    (CertBundle.check, ["self"]),
    (AWSCertificateManagerBackend.delete_certificate, ["self", "arn"]),
    (cloudfront.DistributionConfig.__init__, ["self", "config"]),
    (
        cloudfront.CloudFrontBackend.create_distribution_with_tags,
        ["self", "distribution_config", "tags"],
    ),
    (WAFV2Backend.associate_web_acl, ["self", "web_acl_arn", "resource_arn"]),
    (WAFV2Backend.delete_web_acl, ["self", "name", "scope", "_id", "lock_token"]),
    (
        WAFV2Backend.put_logging_configuration,
        [
            "self",
            "arn",
            "log_destination_configs",
            "redacted_fields",
            "managed_gy_firewall_manager",
            "logging_filter",
        ],
    ),
    (FakeSecret.reset_default_version, ["self", "secret_version", "version_id"]),
    (
        SecretsManagerBackend.update_secret_version_stage,
        ["self", "secret_id", "version_stage", "remove_from_version_id", "move_to_version_id"],
    ),
    (TokenResponse.assume_role, ["self"]),
    (STSBackend.get_caller_identity, ["self", "access_key_id", "region"]),
    (
        STSBackend.assume_role,
        ["self", "region_name", "role_session_name", "role_arn", "policy", "duration", "external_id"],
    ),
    (DomainDispatcherApplication.__init__, ["self", "create_app"]),
    (create_backend_app, ["service"]),
    (get_serializer_class, ["service_name", "protocol"]),
]


@pytest.mark.parametrize(
    ("function", "names"), PARAMETERS, ids=lambda value: getattr(value, "__qualname__", "")
)
def test_method_that_is_replaced_or_called_has_the_parameters_we_know(
    function: Any, names: list[str]
) -> None:
    assert list(inspect.signature(function).parameters) == names


def test_actions_of_codebuild_are_methods_of_its_response_class() -> None:
    from localaws.codebuild import ACTIONS

    stock = {"update_project"}  # new: moto has none
    assert {action.__name__ for action in ACTIONS} - stock <= set(vars(CodeBuildResponse))


def test_actions_of_codepipeline_that_moto_has_are_all_replaced() -> None:
    from localaws.codepipeline.api import ACTIONS

    stock = {name for name in vars(CodePipelineResponse) if not name.startswith("_")}
    assert stock - {"codepipeline_backend"} <= {action.__name__ for action in ACTIONS}


def test_moto_has_no_codeconnections() -> None:
    from moto.backends import list_of_moto_modules

    assert not {"codeconnections", "codestarconnections"} & set(list_of_moto_modules())


def test_backends_are_made_from_a_class_that_can_be_replaced_and_named_by_url_module() -> None:
    assert codebuild_backends.backend is CodeBuildBackend
    assert codepipeline_backends.backend is CodePipelineBackend
    assert isinstance(inspect.getattr_static(BaseBackend, "_url_module"), property)


def test_moto_remembers_its_services_and_finds_each_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given moto's own list, in its order
    monkeypatch.setattr(backends, "list_of_moto_modules", backends.list_of_moto_modules)
    before = list(backends.list_of_moto_modules())
    # When it is kept
    list_services_once()
    # Then it is the same list, however often it is asked for, and nobody looks into the folder
    monkeypatch.setattr(backends.os, "listdir", Mock(side_effect=AssertionError))
    assert list(backends.list_of_moto_modules()) == list(backends.list_of_moto_modules()) == before
    application = DomainDispatcherApplication(create_backend_app)
    assert application.get_backend_for_host("sqs.us-east-1.amazonaws.com") == "sqs"
    assert application.get_backend_for_host("moto_api") == "moto_api"
    assert application.get_backend_for_host("sqs") == "sqs"


def test_actions_that_moto_lacks_raise_not_implemented() -> None:
    assert "raise NotImplementedError" in inspect.getsource(BaseResponse.call_action)


def test_iam_knows_by_a_table_which_arns_of_s3_have_a_region() -> None:
    known = SERVICE_TYPE_REGION_INFORMATION_ERROR_ASSOCIATIONS["s3"]["valid_starting_values"]
    assert "accesspoint/" in known  # a job has one too: localaws.s3control adds it


def test_a_queue_of_sqs_lists_its_messages_by_a_property_over_what_it_keeps() -> None:
    assert isinstance(inspect.getattr_static(Queue, "messages"), property)
    assert Queue("seam", "us-east-1", "123456789012")._messages == []
    message = Message("id", "body")
    assert (message.visible_at, message.delayed_until) == (0.0, 0.0)


def test_distributions_make_their_configuration_by_a_name_that_can_be_replaced() -> None:
    assert "DistributionConfig(" in inspect.getsource(cloudfront.Distribution.__init__)
    assert not hasattr(CloudFrontResponse, "create_cache_policy")  # new: moto has none


def test_records_of_a_zone_have_a_name_a_type_and_values() -> None:
    assert "self.rrsets" in inspect.getsource(FakeZone.__init__)
    source = inspect.getsource(RecordSet.__init__)
    assert all(f"self.{name} =" in source for name in ("name", "type", "records"))
