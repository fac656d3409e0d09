"""What the endpoints work with; made once at start and held by the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request
from kalla_common.db import Database
from kalla_common.runner.ports import RunnerControl, RunnerRows

from kalla_gateway.chats.client import ChatClient
from kalla_gateway.metrics import Metrics
from kalla_gateway.recipes.checking import RecipeCheck
from kalla_gateway.runs.dispatch import RunDispatcher
from kalla_gateway.runs.events import RunEvents
from kalla_gateway.settings import GatewaySettings
from kalla_gateway.sources.contact import SourceContact
from kalla_gateway.sources.service import SourceReader
from kalla_gateway.uploads.service import Uploads


@dataclass(frozen=True, slots=True)
class GatewayServices:
    """All that an endpoint may need."""

    settings: GatewaySettings
    database: Database
    control: RunnerControl
    rows: RunnerRows
    source_reader: SourceReader
    contact: SourceContact
    recipe_check: RecipeCheck
    dispatcher: RunDispatcher
    events: RunEvents
    uploads: Uploads
    chats: ChatClient
    metrics: Metrics


def _services(request: Request) -> GatewayServices:
    return cast("GatewayServices", request.app.state.services)


Services = Annotated[GatewayServices, Depends(_services)]
