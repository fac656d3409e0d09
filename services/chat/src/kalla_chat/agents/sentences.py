"""Sentences that several parts of the guided agent say."""

from __future__ import annotations

from typing import Final

NOT_UNDERSTOOD: Final = "I did not understand that."
WHAT_IS_UNDERSTOOD: Final = (
    'You can name sources ("match invoices to payments"), columns ("on invoice_id = reference"), a tolerance '
    '("within 2 cents"), days ("within 5 days") or a filter ("only USD"); or answer with the buttons.'
)
CHANGE_SCOPE: Final = (
    'What shall I change? Say for example "only USD", "amount > 100", "all rows" or "other source".'
)
CHANGE_RULE: Final = (
    'What shall I change? Say for example "within 5 cents", "on invoice_id = reference", "only USD", '
    '"more examples" or "other source".'
)
