"""URIs of search engines, taken apart or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.search.address import Product, parse_address


def test_a_uri_says_product_server_login_and_index() -> None:
    address = parse_address(
        "elasticsearch+https://us%40er:p%2Fa:ss@[::1]:9201/proxy/es/orders-*?ca_certs=/ca.pem"
    )
    assert (address.product, address.tls) == (Product.ELASTICSEARCH, True)
    assert (address.host, address.port, address.server) == ("::1", 9201, "[::1]:9201")
    assert (address.prefix, address.index) == ("/proxy/es", "orders-*")
    assert address.login == ("us@er", "p/a:ss")
    assert (address.verify_certs, address.ca_certs) == (True, Path("/ca.pem"))


def test_what_a_uri_leaves_out_has_a_default() -> None:
    address = parse_address("opensearch://host/orders")
    assert (address.product, address.tls, address.port) == (Product.OPENSEARCH, False, 9200)
    assert (address.login, address.api_key, address.prefix) == (None, None, "")


def test_neither_password_nor_key_is_shown() -> None:
    assert "s3cret" not in repr(parse_address("opensearch://user:s3cret@host/orders"))
    assert "s3cret" not in repr(parse_address("elasticsearch://host/orders?api_key=s3cret"))


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("es://host/orders", "begin"),
        ("opensearch://host:9200", "names no index"),
        ("opensearch://host:9200/", "names no index"),
        ("opensearch:///orders", "names no host"),
        ("opensearch://host:0/orders", "1 to 65535"),
        ("opensearch://host:99999/orders", "1 to 65535"),
        ("opensearch://user@host/orders", "without a password"),
        ("opensearch://:secret@host/orders", "without a user"),
        ("opensearch://user:se/cret@host/orders", "percent-encoded"),
        ("opensearch://host/Orders", "lower case"),
        ("opensearch://host/a%22b", "name of an index"),
        ("opensearch://host/_all%3F", "name of an index"),
        ("opensearch://host/%ff", "UTF-8"),
        ("opensearch://host/a%0Ab", "control"),
        ("opensearch://host/orders?table=x", "unknown"),
        ("opensearch://host/orders?api_key=x", "OpenSearch knows no api_key"),
        ("elasticsearch://u:p@host/orders?api_key=x", "both"),
        ("opensearch://host/orders?verify_certs=false", "+https"),
        ("opensearch+https://host/orders?verify_certs=no", "true or false"),
        ("opensearch+https://host/orders?ca_certs=", "empty"),
        ("opensearch+https://host/orders?ca_certs=a&ca_certs=b", "twice"),
    ],
)
def test_a_uri_that_cannot_be_used_is_refused_without_its_secret(uri: str, hint: str) -> None:
    with pytest.raises(KallaError) as failure:
        parse_address(uri)
    assert failure.value.code is Code.INVALID_URI
    assert hint in failure.value.message
    assert "secret" not in failure.value.message
