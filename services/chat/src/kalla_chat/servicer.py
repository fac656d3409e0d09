"""ChatService: unpack, call, pack. Errors leave through the server's interceptor."""

# gRPC gives the names and the arguments of the methods.
# ruff: noqa: N802, ARG002

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from kalla.chat.v1 import chat_service_pb2 as pb
from kalla.chat.v1.chat_service_pb2_grpc import ChatServiceServicer

from kalla_chat.conversation.sessions import Sessions, parse_session_id
from kalla_chat.conversation.turns import Turns
from kalla_chat.convert import event_to_proto, incoming_from_proto, session_to_proto

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["ChatService"].full_name


class ChatServicer(ChatServiceServicer):
    """Serves ChatService."""

    def __init__(self, sessions: Sessions, turns: Turns) -> None:
        self._sessions = sessions
        self._turns = turns

    async def CreateSession(self, request: pb.CreateSessionRequest, context: Any) -> pb.CreateSessionResponse:
        """Begin an empty session."""
        shown = await self._sessions.show(await self._sessions.create())
        return pb.CreateSessionResponse(session=session_to_proto(shown))

    async def GetSession(self, request: pb.GetSessionRequest, context: Any) -> pb.GetSessionResponse:
        """Return a session."""
        shown = await self._sessions.show(parse_session_id(request.session_id))
        return pb.GetSessionResponse(session=session_to_proto(shown))

    async def SendMessage(
        self, request: pb.SendMessageRequest, context: Any
    ) -> AsyncIterator[pb.SendMessageResponse]:
        """Answer a message."""
        async with aclosing(self._turns.send(incoming_from_proto(request))) as events:
            async for event in events:
                yield event_to_proto(event)
