"""The chat service over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from grpc import aio
from kalla.chat.v1 import chat_service_pb2 as pb
from kalla.chat.v1 import session_pb2
from kalla.chat.v1.chat_service_pb2_grpc import ChatServiceStub
from kalla_common.errors import Code, KallaError

CALL_SECONDS: Final = 15.0


class ChatClient:
    """Calls the chat service, with deadlines. All methods raise KallaError.

    Args:
        channel: made by `kalla_common.rpc.client.make_channel`.
        answer_seconds: how long an answer may take.
    """

    def __init__(self, channel: aio.Channel, answer_seconds: float) -> None:
        self._stub = ChatServiceStub(channel)
        self._answer_seconds = answer_seconds

    async def create(self) -> session_pb2.Session:
        """Begin a session."""
        answer = await self._stub.CreateSession(pb.CreateSessionRequest(), timeout=CALL_SECONDS)
        return answer.session

    async def session(self, session_id: str) -> session_pb2.Session:
        """A whole session; SESSION_NOT_FOUND."""
        request = pb.GetSessionRequest(session_id=session_id)
        answer = await self._stub.GetSession(request, timeout=CALL_SECONDS)
        return answer.session

    async def answer(self, request: pb.SendMessageRequest) -> pb.Answer:
        """The answer to a message; what may follow it is left alone."""
        stream = self._stub.SendMessage(request, timeout=self._answer_seconds)
        async for event in stream:
            if event.WhichOneof("event") == "answer":
                return event.answer
        raise KallaError(Code.CHAT_UNAVAILABLE, "The chat service gave no answer; send the message again.")

    async def events(self, request: pb.SendMessageRequest) -> AsyncIterator[pb.SendMessageResponse]:
        """All events, to the end of a run that the message started."""
        async for event in self._stub.SendMessage(request, timeout=None):
            yield event
