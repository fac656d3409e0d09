"""A first line that is a row is noticed, and a line of names never is."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.csv.dialect import Dialect, read_dialect

HEADERLESS = {
    "dates, references, amounts": "2024-03-01,INV-1001,1234.56\n2024-03-04,INV-1002,-89.90\n",
    "references and amounts": "INV-1,10.00\nINV-2,20.00\n",
    "day first, comma amounts": "01.03.2024;Kiosk;1.234,56\n04.03.2024;Bus;-89,90\n",
    "month first": "3/1/2024,Coffee,USD 4.50\n3/14/2024,Lunch,USD 12.00\n",
    "timestamps": "2024-03-01T10:00:00Z,a\n2024-03-01T11:30:00Z,b\n",
    "names and amounts": "Ann,10.00\nBob,20.00\nCyd,7.50\n",
    "long numbers": "1000001,Ann\n1000007,Bob\n",
    "accounts": "DE89370400440532013000,Ann\nDE02120300000000202051,Bob\n",
    "uuids": "0b0f1f4e-7c1d-4f5c-9b1a-1c2d3e4f5a6b,x\n9c1d1f4e-7c1d-4f5c-9b1a-1c2d3e4f5a6b,y\n",
    "numbered rows": "1,Ann,30\n2,Bob,41\n3,Cyd,25\n",
    "numbers alone": "17,5,40\n3,40,1\n9,2,8\n",
    "one column": "INV-1\nINV-2\nINV-3\n",
    "equal amounts": "INV-1,5.00,5.00\nINV-2,7.00,7.00\n",
    "an empty field": "INV-1,,5.00\nINV-2,x,7.00\n",
    "truth values": "true,x\nfalse,y\n",
    "quoted": '"2024-03-01","a"\n"2024-03-02","b"\n',
    "a footer below": "".join(f"2024-03-{day:02},1.50\n" for day in range(1, 20)) + "END,OF FILE\n",
    "no row below": "2024-03-01,INV-1,12.50\n",
    "gaps": "2024-03-01,5.00\n,7.00\n2024-03-02,\n",
}


def dialect(text: str, name: str = "bank.csv", vouched: tuple[str, ...] = ()) -> Dialect:
    data = text.encode()
    return read_dialect(lambda size: data[:size], name, vouched)


@pytest.mark.parametrize("text", HEADERLESS.values(), ids=HEADERLESS.keys())
def test_a_first_line_of_values_is_no_header(text: str) -> None:
    with pytest.raises(KallaError) as raised:
        dialect(text)
    assert raised.value.code is Code.INVALID_DATA
    assert raised.value.details == {"line": "1"}
    first = text.splitlines()[0].replace('"', "")
    delimiter = ";" if ";" in first else ","
    # It names what was found there, and what to do.
    assert " | ".join(first.split(delimiter)) in raised.value.message
    assert "header" in raised.value.message
    assert "schema" in raised.value.message


def test_what_the_schema_lists_is_a_name_whatever_it_looks_like() -> None:
    text = HEADERLESS["references and amounts"]
    assert dialect(text, vouched=("INV-1", "10.00")).names == ("INV-1", "10.00")
    with pytest.raises(KallaError, match=r"'10\.00' in column 2"):
        dialect(text, vouched=("INV-1",))


def test_a_line_above_the_header_is_noticed_where_it_has_as_many_fields() -> None:
    text = "Account,4711,EUR\nDate,ref,Amount\n2024-03-01,INV-1,1234.56\n2024-03-04,INV-2,-89.90\n"
    with pytest.raises(KallaError) as raised:
        dialect(text)
    assert "Line 2 of bank.csv looks like the header (Date | ref | Amount)" in raised.value.message
    assert "Account | 4711 | EUR" in raised.value.message
    assert dialect(text, vouched=("Account", "4711", "EUR")).names == ("Account", "4711", "EUR")


HEADERS = {
    "plain": "id,amount,day\n1,5.00,2024-03-01\n2,7.00,2024-03-02\n",
    "years": "account,2023,2024\nCash,100,120\nBank,2000,2300\n",
    "years falling": "account,2024,2023,2022\nCash,2024,2000,1900\nBank,3000,3100,2900\n",
    "years alone": "2022,2023,2024\n2030,2040,2050\n1,2,3\n",
    "months": "account,Jan 2024,Feb 2024\nCash,1.00,2.00\nBank,3.00,4.00\n",
    "days as columns": "account,2024-01-31,2024-02-29\nCash,1.00,2.00\nBank,3.00,4.00\n",
    "quarters": "unit,Q1,Q2,Q3,Q4\nA,1,2,3,4\nB,5,6,7,8\n",
    "numbered names": "account_1,account_2\n400000,500000\n400001,500001\n",
    "days of a month": "employee,1,2,3,4\nAnn,8,8,0,8\nBob,8,7,8,0\n",
    "numbers from 0": "0,1,2\n5,6,7\n8,9,10\n",
    "quantiles": "sensor,0.25,0.50,0.75\nA,1.25,2.50,3.75\nB,1.20,2.40,3.60\n",
    "percent": "service,50%,95%\nA,12%,40%\nB,10%,33%\n",
    "ageing": "customer,0-30,31-60,61-90\nAnn,10.00,0.00,5.00\nBob,1.00,2.00,0.00\n",
    "accounts as columns": "period,400000,410000,420000\n202401,123456,234567,345678\n202402,123457,2,3\n",
    "money in a name": "item,Price (EUR),Amount in $\nA,10.00,11.00\nB,1.00,2.00\n",
    "text alone": "name,city\nAnn,Bonn\nBob,Ulm\n",
    "units below the names": "year,mass,length\n,kg,m\n2024,1.5,2.5\n2023,1.6,2.4\n",
    "a version": "package,v1,v2\na,1.0,2.0\nb,1.1,2.1\n",
    "no rows": "id,amount,2024\n",
    "ISO in a name": "id,created_at (2024-01-01),x\n1,2024-01-01,2\n2,2024-01-02,3\n",
    "the header again below": "id,day\n1,2024-01-01\nid,day\n2,2024-01-02\n",
    "German": "Buchungstag;Betrag (EUR);Kontonr. 1\n01.03.2024;1.234,56;4711\n02.03.2024;2,00;4712\n",
    "empty columns": "id,note,2024\n1,,\n2,,\n",
}


@pytest.mark.parametrize("text", HEADERS.values(), ids=HEADERS.keys())
def test_a_line_of_names_is_a_header(text: str) -> None:
    delimiter = ";" if ";" in text.splitlines()[0] else ","
    assert dialect(text).names == tuple(text.splitlines()[0].split(delimiter))


NAMES = st.lists(
    st.one_of(
        st.from_regex(r"\A[A-Za-z][A-Za-z_ ]{0,12}[A-Za-z]\Z"),
        st.sampled_from(["2024", "Q1", "Jan 24", "account_1", "1", "2024-01", "amount (EUR)", "No.", "%"]),
    ),
    min_size=2,
    max_size=6,
    unique=True,
)


@given(NAMES, st.data())
def test_names_above_text_dates_and_amounts_are_never_taken_for_values(
    names: list[str], data: st.DataObject
) -> None:
    kinds = [data.draw(st.sampled_from(["date", "amount", "text"])) for _ in names]
    rows = [[_value(kind, row) for kind in kinds] for row in range(data.draw(st.integers(1, 8)))]
    text = "\n".join(",".join(cells) for cells in [names, *rows]) + "\n"
    assert dialect(text).names == tuple(names)


@given(
    st.lists(st.sampled_from(["date", "amount", "text", "reference"]), min_size=1, max_size=6).filter(
        lambda kinds: set(kinds) != {"text"}
    ),
    st.integers(2, 30),
)
def test_rows_without_a_header_are_always_noticed(kinds: list[str], count: int) -> None:
    rows = [[_value(kind, row) for kind in kinds] for row in range(count)]
    text = "\n".join(",".join(cells) for cells in rows) + "\n"
    with pytest.raises(KallaError, match="looks like data"):
        dialect(text)


def _value(kind: str, row: int) -> str:
    match kind:
        case "date":
            return (date(2024, 2, 25) + timedelta(days=row * 17 % 40)).isoformat()
        case "amount":
            return f"{row * 7919 % 1000}.{row * 31 % 100:02}"
        case "reference":
            return f"R{row * 13 % 7}/{row * 7919 % 1000}"
        case _:
            return ("Kiosk", "Bus", "Rent", "Fee")[row % 4]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("sep=;\nref;amount\nA;1,50\n", b";"),
        ('"sep=;"\r\nref;amount\r\nA;1,50\r\n', b";"),
        ("SEP=\t\nref\tamount;x\nA\t1\n", b"\t"),
        ("\ufeffsep=,\nref,amount\nA,1\n", b","),
    ],
)
def test_excels_sep_line_names_the_delimiter_and_is_no_header(text: str, delimiter: bytes) -> None:
    found = dialect(text)
    assert found.delimiter == delimiter
    assert found.names[0] == "ref"
    assert text.encode()[found.data_start :].startswith(b"A")


def test_a_sep_line_with_another_delimiter_is_refused_by_name() -> None:
    with pytest.raises(KallaError, match=r"sep=#"):
        dialect("sep=#\nref#amount\n")
