"""Further pairs of sources, written after the code that infers: no rule was made for them."""

from __future__ import annotations

from datetime import date
from random import Random
from typing import Any

from benchmarks.inference.data import (
    Case,
    Labelled,
    Row,
    cents,
    code,
    company,
    day,
    distinct,
    labelled,
    later,
    money,
)

Pairs = set[tuple[Any, Any]]


def customer_and_amount(random: Random, n: int) -> Labelled:
    """A customer with twenty invoices, no reference, and up to 2 cents of difference."""
    customers = [f"K{random.randint(10**5, 10**6)}" for _ in range(max(4, n // 20))]
    ids = random.sample(range(10**7), n)
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    for i in range(n):
        customer, amount, on = random.choice(customers), cents(random), day(random)
        left.append({"inv": f"I{i:06d}", "cust_no": customer, "amt": money(amount), "inv_date": on})
        if random.random() < 0.93:
            paid = amount + random.choice((0, 0, 0, 1, -1, 2, -2))
            when = later(on, random.randint(0, 30))
            right.append(
                {"pay": f"Z{ids[i]:07d}", "customer": customer, "paid": money(paid), "pay_date": when}
            )
            truth.add((f"I{i:06d}", f"Z{ids[i]:07d}"))
    return labelled(random, left, right, ("inv", "pay"), truth)


def employees(random: Random, n: int) -> Labelled:
    """Running numbers that mean the same on both sides, by their name alone; one to many; no amounts."""
    left: list[Row] = [
        {"employee_id": i + 1, "name": company(random), "dept": random.choice("ABC")} for i in range(n)
    ]
    ids = random.sample(range(10**8), 3 * n)
    right: list[Row] = []
    truth: Pairs = set()
    for i in range(n):
        for _ in range(random.choice((0, 1, 1, 2, 3))):
            log = f"B{ids[len(right)]:08d}"
            right.append({"badge_log": log, "employee_id": i + 1, "door": random.randint(1, 9)})
            truth.add((i + 1, log))
    return labelled(random, left, right, ("employee_id", "badge_log"), truth)


def prefix_and_suffix(random: Random, n: int) -> Labelled:
    """CT-<code>/24 on one side and the code alone on the other."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    ids = random.sample(range(10**7), n)
    for i, name in enumerate(distinct(random, n, lambda r: code(r, 7))):
        amount = cents(random)
        contract = f"CT-{name}/24"
        left.append({"contract": contract, "premium": money(amount), "start": day(random)})
        if random.random() < 0.9:
            paid = amount if random.random() < 0.97 else amount + random.randint(1_000, 5_000)
            right.append({"receipt": ids[i], "policy_ref": name, "paid": money(paid), "when": day(random)})
            if paid == amount:
                truth.add((contract, ids[i]))
    return labelled(random, left, right, ("contract", "receipt"), truth)


def american_journal(random: Random, n: int) -> Labelled:
    """12/31/2024 and 1,234.50, credits and debits, opposite signs, the id in a memo."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    ids = random.sample(range(10**8), n)
    for i, ref in enumerate(distinct(random, n, lambda r: code(r, 10))):
        amount, on = cents(random) * (1 if random.random() < 0.8 else -1), day(random)
        sign = "-" if amount < 0 else ""
        written = f"{sign}{abs(amount) // 100:,}.{abs(amount) % 100:02d}"
        left.append({"je": ref, "amount": written, "date": f"{on:%m/%d/%Y}"})
        if random.random() < 0.95:
            when = later(on, random.randint(0, 3))
            right.append({"stmt": ids[i], "memo": f"JE {ref} POSTED", "amt": money(-amount), "dt": when})
            truth.add((ref, ids[i]))
    return labelled(random, left, right, ("je", "stmt"), truth)


def weights(random: Random, n: int) -> Labelled:
    """Measured twice: every figure differs by up to half a percent."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    ids = random.sample(range(10**8), n)
    for i, lot in enumerate(distinct(random, n, lambda r: code(r, 10))):
        amount = cents(random, 10_000)
        left.append({"lot": lot, "qty": money(amount)})
        if random.random() < 0.95:
            again = amount + amount * random.randint(-50, 50) // 10_000
            right.append({"weigh": ids[i], "lot_no": lot, "measured": money(again)})
            truth.add((lot, ids[i]))
    return labelled(random, left, right, ("lot", "weigh"), truth)


def monthly(random: Random, n: int) -> Labelled:
    """The same customer and the same amount every month: only the days tell the months apart."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    ids = random.sample(range(10**7), n + 12)
    for i in range(max(1, n // 12)):
        customer, amount = 10_000 + 7 * i, random.choice((1_999, 2_999, 4_999))
        for month in range(1, 13):
            bill, due = f"B{len(left):06d}", date(2024, month, 1)
            left.append({"bill": bill, "customer": customer, "due": due, "amount": money(amount)})
            if random.random() < 0.95:
                debit, when = ids[len(left) - 1], later(due, random.randint(1, 9))
                right.append({"debit": debit, "client_no": customer, "booked": when, "value": money(amount)})
                truth.add((bill, debit))
    return labelled(random, left, right, ("bill", "debit"), truth)


def both_split(random: Random, n: int) -> Labelled:
    """Several lines of an order on each side; only their sums agree."""
    left: list[Row] = []
    right: list[Row] = []
    truth: Pairs = set()
    ids = random.sample(range(10**8), 3 * n)
    for order in distinct(random, max(3, n // 2), lambda r: "O" + code(r, 8)):
        total = cents(random, 10_000)
        ours = []
        for part in _parts(random, total):
            ours.append(f"G{len(left):06d}")
            left.append({"gl": ours[-1], "ord": order, "amt": money(part)})
        if random.random() < 0.95:
            for part in _parts(random, total):
                sub = ids[len(right)]
                right.append({"sub": sub, "order_ref": order, "amount": money(part)})
                truth |= {(one, sub) for one in ours}
    return labelled(random, left, right, ("gl", "sub"), truth)


def _parts(random: Random, total: int) -> list[int]:
    cuts = sorted(random.sample(range(1, total), random.randint(0, 2)))
    return [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]


def shared_names(random: Random, n: int) -> Labelled:
    """Names that both sides know, three rows each, at random."""
    names = [company(random) for _ in range(max(2, n // 3))]
    left: list[Row] = [
        {
            "a": f"A{code(random, 10)}",
            "name": random.choice(names),
            "amt": money(cents(random)),
            "d": day(random),
        }
        for _ in range(n)
    ]
    right: list[Row] = [
        {
            "b": f"B{code(random, 10)}",
            "party": random.choice(names),
            "amt": money(cents(random)),
            "d": day(random),
        }
        for _ in range(n)
    ]
    return labelled(random, left, right, ("a", "b"), ())


def small_amounts(random: Random, n: int) -> Labelled:
    """Amounts from a narrow range within one month: many are equal by accident."""
    left: list[Row] = [
        {"a": f"A{code(random, 10)}", "amt": money(random.randint(100, 3_000)), "d": day(random, 30)}
        for _ in range(n)
    ]
    right: list[Row] = [
        {"b": f"B{code(random, 10)}", "amt": money(random.randint(100, 3_000)), "d": day(random, 30)}
        for _ in range(n)
    ]
    return labelled(random, left, right, ("a", "b"), ())


def yearly_numbers(random: Random, n: int) -> Labelled:
    """2024-00017 on both sides, each numbered for itself."""
    left: list[Row] = [
        {"doc": f"2024-{i:06d}", "amount": money(cents(random)), "d": day(random)} for i in range(n)
    ]
    right: list[Row] = [
        {"doc": f"2024-{i:06d}", "value": money(cents(random)), "d": day(random)} for i in range(n)
    ]
    return labelled(random, left, right, ("doc", "doc"), ())


def few_in_common(random: Random, n: int) -> Labelled:
    """References of which six in a hundred are on both sides, with other amounts."""
    refs = distinct(random, 2 * n, lambda r: code(r, 9))
    common = n * 6 // 100
    left: list[Row] = [{"ref": refs[i], "amount": money(cents(random)), "d": day(random)} for i in range(n)]
    right: list[Row] = [
        {"ref": refs[i] if i < common else refs[n + i], "amount": money(cents(random)), "d": day(random)}
        for i in range(n)
    ]
    return labelled(random, left, right, ("ref", "ref"), ())


CASES = (
    Case(
        "customer and amount", "twenty invoices a customer, 2 cents, no reference", True, customer_and_amount
    ),
    Case("employees", "running numbers of one meaning, 1:N, no amounts", True, employees),
    Case("prefix and suffix", "CT-X/24 and X", True, prefix_and_suffix),
    Case("american journal", "12/31/2024, 1,234.50, opposite signs, id in a memo", True, american_journal),
    Case("weights", "every figure differs by up to 0.5 %", True, weights),
    Case("monthly", "same customer and amount every month", True, monthly),
    Case("both split", "sums on both sides agree", True, both_split),
    Case("shared names", "names in common, at random", False, shared_names),
    Case("small amounts", "equal by accident, one month", False, small_amounts),
    Case("yearly numbers", "2024-00017 on both sides, unrelated", False, yearly_numbers),
    Case("few in common", "6 % of the references, other amounts", False, few_in_common),
)
