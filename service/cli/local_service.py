"""Searching through a service that already serves the library, so that the command need not load the model.

If there is none, or anything goes wrong, the command searches by itself, with the same result; a request that the
service refuses, the command then refuses itself, naming flags. Only services on this machine are asked, never through a
proxy, and an answer counts only if it carries the token of the service's note in the library's folder: the folder may
come from somebody else, and another program may have taken the port since.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import FiniteFloat, TypeAdapter

from service.cli.search_output import SearchOutput
from service.errors import SmyslError
from service.store.loopback import local_address
from service.store.service_registry import MODEL_SETTINGS, SERVICE_HEADER, RunningService, own_version, running_services

if TYPE_CHECKING:
    from service.config import Settings
    from service.types import Say

_CONNECT_TIMEOUT_S = 0.5
_ANSWER_TIMEOUT_S = 10.0
_MAX_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A POST request: path, content type, body."""

    path: str
    content_type: str
    body: bytes


def text_request(fields: Mapping[str, object]) -> HttpRequest:
    """A search without a photograph, by the fields of a JSON object."""
    return HttpRequest("/search", "application/json", json.dumps(fields).encode())


def photograph_request(content: bytes, fields: Mapping[str, object]) -> HttpRequest:
    """A search by the content of a photograph's file, with further fields of the form, of which None are left out."""
    boundary = secrets.token_hex(16)
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, values in fields.items()
        for value in _form_values(values)
    ]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="photo"; filename="photo"\r\n\r\n'
    body = "".join([*lines, head]).encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return HttpRequest("/search/image", f"multipart/form-data; boundary={boundary}", body)


def _form_values(values: object) -> list[str]:
    """The values of a field of a form, one for each of a list."""
    if isinstance(values, list):
        return [text for value in values for text in _form_values(value)]
    if isinstance(values, bool):
        return [str(values).lower()]
    # A line break in a value would end it.
    return [] if values is None else [" ".join(str(values).splitlines())]


def ask_service(folder: Path, settings: Settings, make_request: Callable[[], HttpRequest], say: Say) -> bytes | None:
    """The JSON answer of a service that serves the library in `folder`; None without one.

    Args:
        folder: of the library.
        settings: of the command; a service with others is not asked.
        make_request: called only if there is a service to ask.
        say: gets a sentence about which service answered, or why none did.
    """
    services = running_services(folder)
    if not services:
        say("No service is running for this library, so the command searches by itself.")
    for token, service in services:
        try:
            _check_settings(service, settings)
            answer = _post(service, token, make_request())
        # What can go wrong with a socket, with HTTP and with the content of an answer.
        except (OSError, http.client.HTTPException, ValueError, SmyslError) as error:
            reason = str(error).rstrip(".") or type(error).__name__
            say(f"Could not use the service at {service.url} ({reason}), so the command searches by itself.")
            continue
        say(f"The service at {service.url} (process {service.pid}) answered.")
        return answer
    return None


def _check_settings(service: RunningService, settings: Settings) -> None:
    """Raise `ValueError` where the service might answer differently from the command itself."""
    if service.version != own_version():
        raise ValueError(f"it is smysl {service.version}, and this is {own_version()}")
    for name in MODEL_SETTINGS:
        wanted, actual = getattr(settings, name), getattr(service, name)
        if wanted is not None and wanted != actual:
            found = f"its {name} is {actual}" if actual else f"it chose its {name} itself"
            raise ValueError(f"{found}, and the command was given {wanted}")


def _post(service: RunningService, token: str, request: HttpRequest) -> bytes:
    """The body of the service's answer; `ValueError` if it is not 200, too long, or from another program."""
    host = local_address(service.address)
    if host is None:
        raise ValueError("it is not on this machine")
    connection = http.client.HTTPConnection(host, service.port, timeout=_CONNECT_TIMEOUT_S)
    try:
        connection.connect()
        connection.sock.settimeout(_ANSWER_TIMEOUT_S)
        headers = {"content-type": request.content_type, "connection": "close"}
        connection.request("POST", request.path, request.body, headers)
        answer = connection.getresponse()
        if answer.getheader(SERVICE_HEADER) != token:
            raise ValueError("another program answers there")
        body = answer.read(_MAX_BYTES + 1)
        if len(body) > _MAX_BYTES:
            raise ValueError("its answer is too long")
        if answer.status != 200:
            raise ValueError(f"it answered with status {answer.status}")
        return body
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class _Hit:
    match: FiniteFloat | None
    uri: str


@dataclass(frozen=True, slots=True)
class _Part:
    x: FiniteFloat
    y: FiniteFloat
    width: FiniteFloat
    height: FiniteFloat


@dataclass(frozen=True, slots=True)
class _WithoutFilters:
    hits: int
    or_more: bool


@dataclass(frozen=True, slots=True)
class _Chip:
    label: str


@dataclass(frozen=True, slots=True)
class _SearchAnswer:
    """The fields of `service.web.schemas.SearchOut` that are printed; that class would import the whole service."""

    hits: list[_Hit]
    min_match: FiniteFloat
    answerable: bool
    best_match: FiniteFloat | None
    notice: str | None
    part: _Part | None
    borders_left_out: bool
    filtered: int | None
    without_filters: _WithoutFilters | None
    understood: list[_Chip]


def read_search_answer(body: bytes) -> SearchOutput:
    """Parse the answer of `POST /search`; raises `ValueError` for anything else."""
    answer = TypeAdapter(_SearchAnswer).validate_json(body, strict=True)
    part, without = answer.part, answer.without_filters
    return SearchOutput(
        [(hit.match, hit.uri) for hit in answer.hits],
        answer.min_match,
        answer.answerable,
        answer.best_match,
        answer.notice,
        None if part is None else ",".join(f"{round(side, 4):g}" for side in (part.x, part.y, part.width, part.height)),
        answer.borders_left_out,
        answer.filtered,
        None if without is None else (without.hits, without.or_more),
        [chip.label for chip in answer.understood],
    )
