"""A command asks the service that is already serving its library, so that it need not load the model itself.

Whatever stands in the way, the command searches by itself, with the same result. Only this machine is asked, never
through a proxy, and only a service that signs its answers with the token of its note: the library's folder may have
come from somebody else, and the port may have been taken by another program since.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import SmyslError, UsageError
from service.store.loopback import local_address
from service.store.service_registry import MODEL_SETTINGS, SERVICE_HEADER, RunningService, own_version, running_services

if TYPE_CHECKING:
    from service.config import Settings

_TO_CONNECT_S = 0.5
_TO_ANSWER_S = 10.0
_MOST_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Question:
    """A request that a search becomes: its path, its content type, its body.

    `trusts_refusal` is whether a service refuses it in the words of the command's own search.
    """

    path: str
    content_type: str
    body: bytes
    trusts_refusal: bool


def text_question(text: str, k: int, min_match: float | None) -> Question:
    """A search by a text."""
    body = json.dumps({"text": text, "k": k, "min_match": min_match})
    return Question("/search", "application/json", body.encode(), trusts_refusal=True)


def photograph_question(content: bytes, fields: Mapping[str, str]) -> Question:
    """A search by the bytes of a photograph's file, with further fields of the form."""
    boundary = secrets.token_hex(16)
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="photo"; filename="photo"\r\n\r\n'
    body = "".join([*lines, head]).encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return Question("/search/image", f"multipart/form-data; boundary={boundary}", body, trusts_refusal=False)


def ask_service(
    folder: Path, settings: Settings, question: Callable[[], Question], tell: Callable[[str], None]
) -> bytes | None:
    """What a service that serves the library in `folder` answers, as JSON; None where none does.

    `question` is called where there is a service to ask. `tell` hears in a sentence who was asked, or why nobody was.
    Raises `UsageError` where the service refuses the question as the command itself would.
    """
    serving = running_services(folder)
    if not serving:
        tell("No service serves this library, so the command searches by itself.")
    for token, service in serving:
        try:
            _check_alike(service, settings)
            answer = _asked(service, token, question())
        except UsageError:
            raise
        # What can go wrong with a socket, with HTTP and with what came through it.
        except (OSError, http.client.HTTPException, ValueError, SmyslError) as error:
            reason = str(error).rstrip(".") or type(error).__name__
            tell(f"The service at {service.url} was left aside ({reason}), so the command searches by itself.")
            continue
        tell(f"The service at {service.url} (process {service.pid}) was asked.")
        return answer
    return None


def _check_alike(service: RunningService, settings: Settings) -> None:
    """Raise `ValueError` where the service might answer otherwise than the command itself."""
    if service.version != own_version():
        raise ValueError(f"it is smysl {service.version}, and this is {own_version()}")
    for name in MODEL_SETTINGS:
        chosen, its = getattr(settings, name), getattr(service, name)
        if chosen is not None and chosen != its:
            raise ValueError(f"it was started with the {name} {its or 'that it chose'}, not with {chosen}")


def _asked(service: RunningService, token: str, question: Question) -> bytes:
    host = local_address(service.address)
    if host is None:
        raise ValueError("it is not on this machine")
    connection = http.client.HTTPConnection(host, service.port, timeout=_TO_CONNECT_S)
    try:
        connection.connect()
        connection.sock.settimeout(_TO_ANSWER_S)
        headers = {"content-type": question.content_type, "connection": "close"}
        connection.request("POST", question.path, question.body, headers)
        answer = connection.getresponse()
        if answer.getheader(SERVICE_HEADER) != token:
            raise ValueError("another program answers there")
        body = answer.read(_MOST_BYTES + 1)
        if len(body) > _MOST_BYTES:
            raise ValueError("its answer is too long")
        if answer.status == 200:
            return body
        if answer.status == 400 and question.trusts_refusal:
            _refuse(body)
        raise ValueError(f"it answered {answer.status}")
    finally:
        connection.close()


def _refuse(body: bytes) -> None:
    """Raise the `UsageError` that an answer holds; nothing where it holds another."""
    said = json.loads(body)
    error = said.get("error") if isinstance(said, dict) else None
    if isinstance(error, dict) and error.get("kind") == UsageError.kind and isinstance(error.get("message"), str):
        raise UsageError(error["message"])
