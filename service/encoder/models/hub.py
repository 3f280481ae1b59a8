"""Access to the model hub: a request with a deadline, and errors as sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

from service.config import MINI
from service.errors import HubError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo


class UnreachableError(HubError):
    """A model cannot be downloaded; `reason` says why, as the first half of a sentence."""

    def __init__(self, model: str, reason: str, advice: str) -> None:
        super().__init__(f"{reason}, so {model} cannot be downloaded; {advice}.")
        self.reason = reason


def ask_hub(model: str, repository: str, timeout_s: float) -> ModelInfo:
    """The files of a repository, with sizes and hashes; raises `UnreachableError` after `timeout_s`, whatever hangs.

    The request runs in a thread, because the lookup of a host name ignores the HTTP client's timeout.
    """
    import httpx2
    from huggingface_hub import HfApi

    answer: Future[ModelInfo] = Future()

    def ask() -> None:
        try:
            answer.set_result(HfApi().model_info(repository, files_metadata=True, timeout=timeout_s))
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, TypeError, KeyError) as error:
            answer.set_exception(error)

    Thread(target=ask, name="ask the model hub", daemon=True).start()
    try:
        return answer.result(timeout=timeout_s)
    except TimeoutError as error:
        raise no_answer(model, f"did not answer within {timeout_s:g} s") from error


def counting_bar(count: Callable[[int], None]) -> type[Any]:
    """A progress bar class for huggingface_hub that shows nothing and calls `count` with the bytes that arrived."""
    from huggingface_hub.utils.tqdm import tqdm

    class CountingBar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            count(int(n or 0))

        # With these two, Xet downloads count bytes only when they are written, not also when they are received.
        def update_transfer(self, n: float) -> None: ...

        def set_transfer_postfix_str(self, text: str, refresh: bool = False) -> None: ...

    return CountingBar


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Keep huggingface_hub's own warnings off the terminal: what matters becomes an error."""
    import logging as standard

    from huggingface_hub.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(standard.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


@contextmanager
def hub_errors(model: str) -> Iterator[None]:
    """Turn what huggingface_hub and its HTTP client raise into one sentence."""
    import httpx2
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        yield
    except GatedRepoError as error:
        raise no_answer(model, "requires a sign-in for it (set HF_TOKEN)") from error
    except RepositoryNotFoundError as error:
        raise no_answer(model, "has no such model, or a private one (set HF_TOKEN)") from error
    except HfHubHTTPError as error:
        raise no_answer(model, f"answered with error {error.response.status_code}") from error
    except httpx2.TimeoutException as error:
        raise no_answer(model, "stopped answering") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise no_answer(model, f"cannot be reached ({_short(error)})") from error
    except OSError as error:
        # huggingface_hub's check of a file's length raises an OSError without a number.
        incomplete, unstorable = "sent an incomplete file", f"sent a file that cannot be stored ({_short(error)})"
        raise no_answer(model, incomplete if error.errno is None else unstorable) from error
    except (ValueError, TypeError, KeyError) as error:
        raise no_answer(model, "does not answer like a model hub") from error


def no_answer(model: str, what: str) -> UnreachableError:
    """The error for a hub that fails; `what` continues "The model hub at … "."""
    return UnreachableError(
        model,
        f"The model hub at {endpoint()} {what}",
        f"try again later, or use the built-in model with --model {MINI}",
    )


def _short(error: Exception) -> str:
    """The first line of an error, without the system's error number."""
    lines = re.sub(r"^\[Errno -?\d+\] ", "", str(error).strip()).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def endpoint() -> str:
    """The hub's address: HF_ENDPOINT, or the public hub."""
    from huggingface_hub import constants

    return constants.ENDPOINT
