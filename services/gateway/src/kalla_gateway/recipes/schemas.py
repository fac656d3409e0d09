"""The JSON of recipes, which is also the form they are stored in."""

from __future__ import annotations

from typing import Annotated, Any

from kalla_common.domain import Recipe, RecipeSource
from kalla_common.openapi import WORDS
from kalla_common.uris import mask_uri
from pydantic import BaseModel, ConfigDict, Field

from kalla_gateway.rest.schemas import Saved
from kalla_gateway.sources.uris import SOURCE_TYPES

Name = Annotated[str, Field(min_length=1, json_schema_extra=WORDS)]

EXAMPLE: dict[str, Any] = {
    "recipe_id": "invoice-payment-match",
    "name": "Invoice-Payment Reconciliation",
    "description": "Match invoices to payments by reference number and amount",
    "match_sql": (
        "SELECT l.invoice_id, r.payment_id FROM invoices l JOIN payments r"
        " ON l.invoice_id = r.reference_number AND tolerance_match(l.amount, r.paid_amount, 0.02)"
    ),
    "match_description": "Reference numbers are identical and amounts differ by at most 0.02",
    "sources": {
        "left": {
            "alias": "invoices",
            "type": "postgres",
            "uri": "postgres://db.example.com/sales?table=invoices",
            "primary_key": ["invoice_id"],
        },
        "right": {
            "alias": "payments",
            "type": "file",
            "schema": ["payment_id", "reference_number", "amount"],
            "primary_key": ["payment_id"],
        },
    },
}


class RecipeSourceBody(BaseModel):
    """One side of a recipe."""

    model_config = ConfigDict(populate_by_name=True)

    alias: Name
    type: Annotated[
        str, Field(description="postgres, elasticsearch or file", json_schema_extra={"enum": [*SOURCE_TYPES]})
    ]
    uri: Name | None = Field(
        default=None, description="Absent: a run takes the registered source of this alias."
    )
    columns: list[Name] | None = Field(
        default=None, alias="schema", description='Expected columns, each "name" or "name:type".'
    )
    primary_key: Annotated[
        list[Name],
        Field(min_length=1, description='Columns that identify a row; ["@row"]: the row\'s number.'),
    ]

    def domain(self) -> RecipeSource:
        """The same as a domain object."""
        return RecipeSource(
            self.alias, self.type, tuple(self.primary_key), self.uri, tuple(self.columns or ())
        )


class LookupSourceBody(RecipeSourceBody):
    """A table that the query only looks things up in; it needs no key."""

    primary_key: list[Name] = Field(default_factory=list)


class RecipeSources(BaseModel):
    """The two sides, and tables that the query may read beside them."""

    left: RecipeSourceBody
    right: RecipeSourceBody
    lookups: list[LookupSourceBody] | None = None


class RecipeBody(BaseModel):
    """Which SQL says what a match is, and over which sources."""

    recipe_id: Name
    name: Name
    description: str | None = None
    match_sql: Name
    match_description: str | None = None
    sources: RecipeSources
    allow_quadratic: bool | None = Field(
        default=None, strict=True, description="Run a plan that stays quadratic instead of refusing it."
    )
    witness: bool | None = Field(
        default=None,
        strict=True,
        description="Let a second engine answer too, and fail if it disagrees; absent: as the server is set.",
    )

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    def domain(self) -> Recipe:
        """The same as a domain object."""
        return Recipe(
            recipe_id=self.recipe_id,
            name=self.name,
            match_sql=self.match_sql,
            left=self.sources.left.domain(),
            right=self.sources.right.domain(),
            description=self.description or "",
            match_description=self.match_description or "",
            lookups=tuple(lookup.domain() for lookup in self.sources.lookups or ()),
            allow_quadratic=self.allow_quadratic or False,
            witness=self.witness,
        )


class RecipeSaved(Saved):
    """A recipe is stored, whatever the check of its SQL showed."""

    warnings: list[str] = Field(description="What a run would refuse, one sentence each; empty: nothing.")
    not_checked: str | None = Field(
        default=None, description="Why the SQL was not checked: a source has no URI or cannot be read now."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "success": True,
                "message": "Recipe saved",
                "warnings": ["invoices has no column amout; it has amount. (line 1, column 12)"],
            }
        }
    )


def recipe_json(recipe: Recipe, *, masked: bool = True) -> dict[str, Any]:
    """Return a recipe in REST form; only what is stored keeps its secrets (`masked=False`)."""
    sources: dict[str, Any] = {
        "left": _source_json(recipe.left, masked),
        "right": _source_json(recipe.right, masked),
    }
    if recipe.lookups:
        sources["lookups"] = [_source_json(lookup, masked) for lookup in recipe.lookups]
    body: dict[str, Any] = {
        "recipe_id": recipe.recipe_id,
        "name": recipe.name,
        "description": recipe.description,
        "match_sql": recipe.match_sql,
        "match_description": recipe.match_description,
        "sources": sources,
    }
    if recipe.allow_quadratic:
        body["allow_quadratic"] = True
    if recipe.witness is not None:
        body["witness"] = recipe.witness
    return body


def recipe_of(stored: dict[str, Any]) -> Recipe:
    """Return the recipe that `recipe_json(..., masked=False)` stored."""
    return RecipeBody.model_validate(stored).domain()


def _source_json(source: RecipeSource, masked: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"alias": source.alias, "type": source.type}
    if source.uri is not None:
        body["uri"] = mask_uri(source.uri) if masked else source.uri
    if source.schema:
        body["schema"] = list(source.schema)
    return body | {"primary_key": list(source.primary_key)}
