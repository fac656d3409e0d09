"""The model agent: a model leads the conversation with the tools of the phase, and no others.

Buttons mean what they say, so they are answered by rules. If the provider fails, or the model does
not come to an answer within its bounds, the guided agent answers the same message from the same
state, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Final

from kalla_common.telemetry import log, redact
from pydantic_ai import Agent, RunContext, UsageLimits
from pydantic_ai.exceptions import (
    AgentRunError,
    ModelAuthenticationError,
    ModelRateLimitError,
    UsageLimitExceeded,
    UserError,
)
from pydantic_ai.messages import (
    AgentStreamEvent,
    FunctionToolCallEvent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    UserPromptPart,
)
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RunUsage

from kalla_chat.agents.briefing import TASK, briefing
from kalla_chat.agents.guided import GuidedAgent
from kalla_chat.agents.language.understand import understand
from kalla_chat.agents.masking import Rows
from kalla_chat.agents.model_tools import Workplace, tools
from kalla_chat.conversation.state import State
from kalla_chat.settings import ChatSettings
from kalla_chat.work.turn import Means, Turn

_NOTES: Final = {
    "show_rows": "Reading rows ...",
    "propose_pairs": "Looking for rows that may belong together ...",
    "infer_recipe": "Looking for the rule by which rows match ...",
    "start_run": "Starting the run ...",
}
_SPENT: Final = "this session has spent what a model may cost"


class ModelAgent:
    """Answers by a model.

    Args:
        settings: bounds, and whether rows are shown as they are.
        model: made by `provider.make_model`.
        guided: answers where the model cannot.
        means: what the tools work with.
    """

    def __init__(self, settings: ChatSettings, model: Model, guided: GuidedAgent, means: Means) -> None:
        self._settings = settings
        self._guided = guided
        self._means = means
        self._rows = Rows(real=settings.model_show_rows)
        self._agent: Agent[Workplace, str] = Agent(
            model,
            deps_type=Workplace,
            instructions=[TASK, self._briefing],
            toolsets=[tools.filtered(_of_the_phase)],
            retries=settings.model_retries,
            model_settings=ModelSettings(max_tokens=settings.model_max_tokens),
        )

    async def answer(self, turn: Turn) -> None:
        """See Agent."""
        if turn.asked.pressed is not None or turn.asked.uploads:
            await self._guided.answer(turn)
            return
        before = turn.state.model_copy(deep=True)
        usage = RunUsage()
        try:
            failure = await self._lead(turn, usage)
        finally:
            _count(turn.state, usage)
        if failure:
            # The guided agent answers as if the model had never been asked; what it cost stays counted.
            before.usage = turn.state.usage
            turn.state = before
            turn.texts.clear()
            turn.shown.clear()
            turn.say(f"The model did not answer ({failure}), so I go on by rules.")
            await self._guided.answer(turn)

    async def _lead(self, turn: Turn, usage: RunUsage) -> str:
        """Let the model answer; returns why it did not, "" if it did."""
        limit = self._settings.model_session_usd
        spent = turn.state.usage.cost_usd
        if limit is not None and spent is not None and spent >= limit:
            return _SPENT
        consents = understand(turn.asked.text, ()).consents
        place = Workplace(turn, self._means, self._rows, consents)
        try:
            async with asyncio.timeout(self._settings.model_seconds):
                result = await self._agent.run(
                    redact(turn.asked.text),
                    deps=place,
                    message_history=_history(turn),
                    usage=usage,
                    usage_limits=UsageLimits(
                        request_limit=self._settings.model_steps,
                        tool_calls_limit=3 * self._settings.model_steps,
                    ),
                    event_stream_handler=self._note,
                )
        except TimeoutError:
            return self._failed("it took too long")
        except UsageLimitExceeded as error:
            return self._failed("it took too many steps", error)
        except ModelAuthenticationError as error:
            return self._failed("the provider refuses the key", error)
        except ModelRateLimitError as error:
            return self._failed("the provider is asked too often", error)
        except (AgentRunError, UserError, OSError) as error:
            return self._failed("its provider failed", error)
        text = result.output.strip()
        if not text:
            return self._failed("its answer was empty")
        turn.state.begun = True
        # It was spoken piece by piece.
        turn.texts.append(text)
        await self._guided.offer(turn)
        return ""

    def _failed(self, reason: str, error: BaseException | None = None) -> str:
        # The provider's own words may repeat the request, rows included: they are not logged.
        log.warning("model_failed", reason=reason, error=type(error).__name__ if error else None)
        return reason

    def _briefing(self, ctx: RunContext[Workplace]) -> str:
        turn = ctx.deps.turn
        return briefing(turn.state, turn.phase, self._rows)

    async def _note(self, ctx: RunContext[Workplace], events: AsyncIterable[AgentStreamEvent]) -> None:
        async for event in events:
            turn = ctx.deps.turn
            match event:
                case FunctionToolCallEvent() if event.part.tool_name in _NOTES:
                    turn.note(_NOTES[event.part.tool_name])
                case PartStartEvent(part=TextPart(content=text)):
                    turn.speak(text)
                case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
                    turn.speak(text)
                case _:
                    pass


def _of_the_phase(ctx: RunContext[Workplace], definition: ToolDefinition) -> bool:
    return definition.name in set(ctx.deps.turn.phase.tools)


def _history(turn: Turn) -> list[ModelMessage]:
    """What was said before, without cards: their rows are not for the model."""
    found: list[ModelMessage] = []
    for role, content in turn.before:
        if role == "user":
            found.append(ModelRequest(parts=[UserPromptPart(content)]))
        else:
            found.append(ModelResponse(parts=[TextPart(content)]))
    return found


def _count(state: State, usage: RunUsage) -> None:
    """Add what was used to the session's account; an unknown price leaves the sum a lower bound."""
    account = state.usage
    account.requests += usage.requests
    account.input_tokens += usage.input_tokens
    account.output_tokens += usage.output_tokens
    if usage.cost is not None:
        account.cost_usd = (account.cost_usd or 0) + usage.cost
