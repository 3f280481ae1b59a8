"""The errors that a person can cause or meet, each with its sentence.

    SmyslError
    ├── UsageError            the request itself is wrong                    exit 2, HTTP 400
    │   └── TooLargeError     an upload over the limit                       exit 2, HTTP 413
    ├── NotFoundError         a photograph or folder that is not there       exit 2, HTTP 404
    ├── ForbiddenError        a path that leaves the photograph roots        exit 2, HTTP 403
    ├── PhotographError       a file that cannot be read as a photograph     exit 1, HTTP 415
    ├── ModelError            a model that cannot be found or loaded         exit 1, HTTP 503
    │   └── HubError          a model that cannot be downloaded              exit 1, HTTP 503
    ├── DataError             a table or folder of data with a fault in it   exit 1, HTTP 400
    └── LibraryError          a library that cannot be used as asked         exit 1, HTTP 409
        ├── BusyError         another process is writing to it               exit 1, HTTP 409
        └── MismatchError     vectors, match or index of another model       exit 1, HTTP 409

A message says what is wrong, where, and what to do, in one or two sentences. `cli/app.py` prints
it and `web/error_responses.py` sends it as JSON, each in one place; nothing else in the program prints errors or exits.
"""

from __future__ import annotations

from collections.abc import Mapping


class SmyslError(Exception):
    """Base of all errors with a sentence for a person.

    `kind` is stable and made for programs, `message` is made for people.
    """

    kind = "error"
    exit_code = 1
    http_status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UsageError(SmyslError):
    """The request itself is wrong: an empty query, k = 0, an unknown option.

    `parameters` maps words of the message to the name of the parameter that they stand for. The command line prints
    the parameter's flag in their place.
    """

    kind = "usage"
    exit_code = 2
    http_status = 400

    def __init__(self, message: str, parameters: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.parameters = dict(parameters or {})


class TooLargeError(UsageError):
    """An upload is over the limit."""

    kind = "too_large"
    http_status = 413


class NotFoundError(SmyslError):
    """A photograph, file or folder that was named is not there."""

    kind = "not_found"
    exit_code = 2
    http_status = 404


class ForbiddenError(SmyslError):
    """A path leaves the library's folders, a request names another machine, or another site's page asks to write."""

    kind = "forbidden"
    exit_code = 2
    http_status = 403


class PhotographError(SmyslError):
    """A file cannot be read as a photograph; the message is the reason, without the file's name."""

    kind = "photograph"
    http_status = 415


class ModelError(SmyslError):
    """A model is unknown, incomplete, or does not load."""

    kind = "model"
    http_status = 503


class HubError(ModelError):
    """A model is not on this machine and cannot be downloaded."""

    kind = "hub"


class DataError(SmyslError):
    """A table or a folder of data has a fault; the message names the file, the row and the column."""

    kind = "data"
    http_status = 400


class LibraryError(SmyslError):
    """A library cannot be used as asked."""

    kind = "library"
    http_status = 409


class BusyError(LibraryError):
    """Another process is writing to the library."""

    kind = "busy"


class MismatchError(LibraryError):
    """Vectors, a match or an index were made with another model than the one in use."""

    kind = "mismatch"
