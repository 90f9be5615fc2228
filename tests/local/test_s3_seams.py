"""What S3 leans on inside moto. A failure here after an upgrade means: read that module of localaws again."""

import inspect
from typing import Any

import pytest
from moto.s3 import models, notifications
from moto.s3.models import FakeBucket, FakeKey, S3Backend
from moto.s3.responses import S3Response

from localaws.s3 import REPLACED
from localaws.s3.backend import Backend

OVERRIDDEN = sorted(set(vars(Backend)) & set(vars(S3Backend)) - {"__module__", "__doc__"})


def parameters(function: Any) -> list[str]:
    return [name.removeprefix("_") for name in inspect.signature(function).parameters]


@pytest.mark.parametrize("name", sorted(REPLACED))
def test_method_of_the_responses_that_is_replaced_is_called_as_ours_is(name: str) -> None:
    assert parameters(getattr(S3Response, name)) == parameters(inspect.unwrap(REPLACED[name]))


@pytest.mark.parametrize(
    "name", [name for name in OVERRIDDEN if not name.startswith(("create_", "_url_module"))]
)
def test_method_of_the_backend_that_is_overridden_is_called_as_ours_is(name: str) -> None:
    assert parameters(getattr(Backend, name)) == parameters(getattr(S3Backend, name))


def test_addresses_of_s3_are_in_a_table_where_a_key_is_anything() -> None:
    from moto.s3 import urls

    assert isinstance(vars(S3Backend)["_url_module"], property)
    assert "{0}/(?P<bucket_name_path>[^/]+)/(?P<key_name>.+)" in urls.url_paths


def test_events_go_through_one_function() -> None:
    assert parameters(notifications._send_event_bridge_message) == [
        "account_id",
        "bucket",
        "event_name",
        "key",
    ]
    source = inspect.getsource(notifications.send_event)
    assert "_send_event_bridge_message(account_id, bucket, event_name, key)" in source


def test_keys_of_a_bucket_are_in_the_store_that_is_replaced() -> None:
    assert "self.keys = _VersionedKeyStore()" in inspect.getsource(FakeBucket.__init__)
    assert hasattr(models, "_VersionedKeyStore")


def test_everything_that_moto_makes_is_in_a_list_that_can_be_replaced() -> None:
    assert isinstance(FakeKey.instances_tracked, list)
