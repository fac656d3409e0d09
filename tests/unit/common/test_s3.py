"""S3 settings: what the documented variables mean, and that nothing else is mixed into them."""

from __future__ import annotations

import pytest
from kalla_common.errors import Code, KallaError
from kalla_common.s3 import S3Settings, checked_bucket, take_s3_settings
from kalla_common.uris import mask_uri

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "s3cret"}
LOCAL = {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9000/", "AWS_ALLOW_HTTP": "true"}


def refused(**variables: str) -> str:
    with pytest.raises(KallaError) as caught:
        take_s3_settings(variables)
    assert caught.value.code is Code.INVALID_REQUEST
    assert "s3cret" not in caught.value.message
    return caught.value.message


def test_all_variables_are_read_and_told_on_unchanged() -> None:
    variables = {**LOCAL, "AWS_REGION": "eu-north-1", "AWS_SESSION_TOKEN": "t0ken"}
    settings = take_s3_settings(dict(variables))
    assert settings.credentials() == ("id", "s3cret", "t0ken")
    assert (settings.endpoint, settings.signing_region) == ("http://127.0.0.1:9000", "eu-north-1")
    assert settings.environment() == {**variables, "AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}


def test_they_are_taken_out_of_the_environment_for_libraries_would_add_what_they_find() -> None:
    variables = {**LOCAL, "AWS_PROFILE": "work", "AWS_ENDPOINT_URL_S3": "http://other", "PATH": "/bin"}
    variables["AWS_CA_BUNDLE"] = "/etc/ca.pem"
    assert take_s3_settings(variables).endpoint == "http://127.0.0.1:9000"
    assert variables == {"PATH": "/bin", "AWS_CA_BUNDLE": "/etc/ca.pem"}


def test_without_credentials_there_is_no_store_and_using_one_says_what_to_set() -> None:
    settings = take_s3_settings({"AWS_ACCESS_KEY_ID": "", "AWS_REGION": "eu-north-1"})
    assert not settings.configured
    with pytest.raises(KallaError, match="AWS_ACCESS_KEY_ID") as caught:
        settings.credentials()
    assert caught.value.code is Code.STORE_NOT_CONFIGURED


def test_an_endpoint_of_aws_follows_from_the_region() -> None:
    settings = take_s3_settings({**KEYS, "AWS_REGION": "eu-north-1"})
    assert settings.endpoint == "https://s3.eu-north-1.amazonaws.com"


def test_half_of_the_credentials_is_an_error() -> None:
    assert "need each other" in refused(AWS_SECRET_ACCESS_KEY="s3cret")
    assert "need each other" in refused(AWS_ACCESS_KEY_ID="id")


def test_aws_needs_a_region() -> None:
    assert "AWS_REGION is missing" in refused(**KEYS)


def test_the_region_may_have_its_older_name() -> None:
    assert take_s3_settings({**KEYS, "AWS_DEFAULT_REGION": "eu-north-1"}).region == "eu-north-1"
    both = {**KEYS, "AWS_DEFAULT_REGION": "eu-north-1", "AWS_REGION": "eu-south-1"}
    assert take_s3_settings(both).region == "eu-south-1"


def test_plain_http_must_be_allowed() -> None:
    assert "AWS_ALLOW_HTTP=true" in refused(**{**LOCAL, "AWS_ALLOW_HTTP": "false"})
    assert "AWS_ALLOW_HTTP: " in refused(**{**LOCAL, "AWS_ALLOW_HTTP": "perhaps"})


@pytest.mark.parametrize(
    "endpoint",
    ["127.0.0.1:9000", "s3://bucket", "http://u:s3cret@host", "http://host/path", "http://host:x", "http://"],
)
def test_what_is_no_endpoint_is_refused_without_repeating_it(endpoint: str) -> None:
    assert "AWS_ENDPOINT_URL: an S3 endpoint is" in refused(**{**LOCAL, "AWS_ENDPOINT_URL": endpoint})


def test_secrets_are_not_shown() -> None:
    text = repr(
        S3Settings.model_validate({"access_key_id": "id", "secret_access_key": "s3cret", "region": "r"})
    )
    assert "s3cret" not in text


def test_a_signed_address_is_masked_where_it_is_logged() -> None:
    url = "http://h/b/k?X-Amz-Credential=id&X-Amz-Signature=abc123&X-Amz-Security-Token=t0ken"
    assert mask_uri(url) == "http://h/b/k?X-Amz-Credential=id&X-Amz-Signature=***&X-Amz-Security-Token=***"


@pytest.mark.parametrize("name", ["ab", "Upper", "a/b", "-ab", "ab-", "a_b", "x" * 64])
def test_names_that_s3_refuses_for_a_bucket_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="3 to 63"):
        checked_bucket(name)


def test_a_proper_bucket_name_is_kept() -> None:
    assert checked_bucket("kalla-uploads.eu") == "kalla-uploads.eu"
