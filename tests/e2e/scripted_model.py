"""A model that says what a test wrote for it, behind the interface of an OpenAI-compatible endpoint.

So the provider's own client, its address, key, retries and streaming are those of real use; the
product knows nothing of tests.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-scripted-s3cret"

Step = dict[str, Any]


def says(text: str) -> Step:
    """The model answers."""
    return {"text": text}


def calls(tool: str, **arguments: Any) -> Step:
    """The model calls a tool."""
    return {"tool": tool, "arguments": arguments}


class ScriptedModel:
    """What comes next, and what was asked.

    Attributes:
        script: steps to come; an empty one fails the request, as `failing` does.
        requests: bodies as they came.
        failing: answer 500 to everything.
    """

    def __init__(self) -> None:
        self.script: list[Step] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.failing = False
        self.url = ""

    def tools(self, number: int) -> set[str]:
        """Names of the tools that a request offered."""
        return {tool["function"]["name"] for tool in self.requests[number].get("tools", [])}

    def tool_results(self) -> list[dict[str, Any]]:
        """What tools answered, as the last request has it."""
        messages = self.requests[-1]["messages"]
        return [json.loads(message["content"]) for message in messages if message["role"] == "tool"]

    def seen(self) -> str:
        """All that the model was ever shown."""
        return json.dumps(self.requests, ensure_ascii=False)


@contextmanager
def scripted_model() -> Generator[ScriptedModel]:
    """A running endpoint on a loopback port."""
    model = ScriptedModel()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(model))
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(model: ScriptedModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            model.requests.append(body)
            model.keys.add(self.headers.get("authorization", ""))
            if model.failing or not model.script:
                self._send(500, "application/json", b'{"error": {"message": "no more"}}')
                return
            step = model.script.pop(0)
            if body.get("stream"):
                self._send(200, "text/event-stream", _stream(step, len(model.requests)))
            else:
                answer = {**_head(len(model.requests)), "object": "chat.completion", "usage": _USAGE}
                choice = {"index": 0, "message": _message(step), "finish_reason": _reason(step)}
                self._send(200, "application/json", json.dumps({**answer, "choices": [choice]}).encode())

        def _send(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


_USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


def _head(number: int) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number}", "created": 1_700_000_000, "model": "scripted"}


def _message(step: Step) -> dict[str, Any]:
    if "text" in step:
        return {"role": "assistant", "content": step["text"]}
    function = {"name": step["tool"], "arguments": json.dumps(step["arguments"])}
    call = {"index": 0, "id": f"call_{step['tool']}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _reason(step: Step) -> str:
    return "stop" if "text" in step else "tool_calls"


def _stream(step: Step, number: int) -> bytes:
    head = {**_head(number), "object": "chat.completion.chunk"}
    chunks = [
        {**head, "choices": [{"index": 0, "delta": _message(step), "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _reason(step)}]},
        {**head, "choices": [], "usage": _USAGE},
    ]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode() + b"data: [DONE]\n\n"
