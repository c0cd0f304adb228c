"""The workers that run tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
from distributed import Client, Future

# A task that fails because its worker is lost is repeated up to this many times.
_RETRIES = 3


def workers(client: Client) -> list[str]:
    """Addresses of the workers."""
    found = sorted(client.scheduler_info(n_workers=-1)["workers"])
    if not found:
        raise RuntimeError("client: its cluster has no workers")
    return found


def submit(client: Client, function: Callable[..., Any], *arguments: Any, worker: str | None = None) -> Future:
    """Start a task on a worker, as long as that is there, or wherever its inputs are."""
    where: dict[str, Any] = {} if worker is None else {"workers": [worker], "allow_other_workers": True}
    return client.submit(function, *arguments, pure=False, retries=_RETRIES, **where)


def chunks(client: Client, array: da.Array) -> list[Future]:
    """Compute the chunks of an array of whole rows."""
    computed: list[Future] = client.compute(list(array.to_delayed().ravel()), retries=_RETRIES)
    return computed
