"""What the server refuses: files outside open sessions, fetching for others, outside content."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from geoflow_app.server.sessions import Sessions

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; frame-ancestors 'self'"
)
"""Sent with every answer: the browser itself refuses whatever comes from another host."""


class Guard:
    """ASGI middleware around gradio.

    Args:
        app: what it wraps.
        sessions: own the files that may be served.
    """

    def __init__(self, app: Any, sessions: Sessions) -> None:
        self.app, self.sessions = app, sessions

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers 403 itself, or passes on with the content policy added."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif not self.allowed(scope["path"]):
            await refuse(send)
        else:
            try:
                await self.app(scope, receive, _with_policy(send))
            except RuntimeError:
                if self.allowed(scope["path"]):
                    raise
                await refuse(send)  # deleted on the way: the file's response has not begun

    def allowed(self, path: str) -> bool:
        """Whether a request for this path is served."""
        if "/proxy=" in path or "/stream/" in path:
            return False
        for word in ("/file=", "/file/"):
            if word in path:
                named = path.split(word, 1)[1]  # decoded already, as gradio sees it
                return "://" not in named and "\0" not in named and self._owned(named)
        return True

    def _owned(self, name: str) -> bool:
        try:
            return self.sessions.owns(Path(name))
        except (OSError, ValueError):
            return False


def _with_policy(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            extra = [
                (b"content-security-policy", POLICY.encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"referrer-policy", b"same-origin"),
            ]
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await send(message)

    return sending


async def refuse(send: Send) -> None:
    """A short 403."""
    text = b"this file is not served: it is outside the session, or the session is over"
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": text})
