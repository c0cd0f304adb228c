"""The workers that run tasks, and the partitions that each has."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, Future

from .._capi import Int64s

# A task that fails because its worker is lost is repeated up to this many times.
_RETRIES = 3


def workers(client: Client) -> list[str]:
    """Addresses of the workers."""
    found = sorted(client.scheduler_info(n_workers=-1)["workers"])
    if not found:
        raise RuntimeError("client: its cluster has no workers")
    return found


def submit(client: Client, function: Callable[..., Any], *arguments: Any, worker: str | None = None) -> Future:
    """Start a task on a worker, as long as that is there, or wherever its inputs are.

    The dashboard shows it under the name of the function.
    """
    where: dict[str, Any] = {} if worker is None else {"workers": [worker], "allow_other_workers": True}
    key = f"covertree-{function.__name__.replace('_', '-')}-{uuid.uuid4().hex}"
    return client.submit(function, *arguments, key=key, pure=False, retries=_RETRIES, **where)


def chunks(client: Client, array: da.Array) -> list[Future]:
    """Compute the chunks of an array of whole rows."""
    computed: list[Future] = client.compute(list(array.to_delayed().ravel()), retries=_RETRIES)
    return computed


@dataclass(frozen=True)
class Groups:
    """The partitions of each worker: a group, which is one future, and answers in one task."""

    client: Client
    futures: list[Future]  #: of dictionaries of partitions by number
    owners: Int64s  #: (partitions,) the group of each

    def __len__(self) -> int:
        return len(self.futures)

    def homes(self) -> list[str | None]:
        """The worker of each group; None for one that is on its way."""
        known = self.client.who_has(self.futures)
        return [next(iter(known.get(group.key, ())), None) for group in self.futures]

    def each(self, function: Callable[..., Any], *arguments: Any) -> list[Future]:
        """A task for each group where it is, which gets the group first."""
        return [
            submit(self.client, function, group, *arguments, worker=home)
            for group, home in zip(self.futures, self.homes())
        ]


def divided(n_partitions: int, n_workers: int) -> Int64s:
    """The group of each partition. Partitions of a group follow each other along the curve, so few queries leave it."""
    return np.arange(n_partitions) * min(n_workers, n_partitions) // n_partitions
