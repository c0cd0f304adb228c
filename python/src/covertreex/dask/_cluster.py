"""Where tasks run."""

from __future__ import annotations

from typing import Any

from distributed import Client

# A task that fails because its worker is lost is tried so often again.
RETRIES = 3


def workers(client: Client) -> list[str]:
    """Addresses of the workers."""
    found = sorted(client.scheduler_info(n_workers=-1)["workers"])
    if not found:
        raise RuntimeError("client: its cluster has no workers")
    return found


def anywhere() -> dict[str, Any]:
    """Options of a task that may run wherever its inputs are."""
    return {"pure": False, "retries": RETRIES}


def at(worker: str | None) -> dict[str, Any]:
    """Options of a task for one worker, as long as that is there."""
    if worker is None:
        return anywhere()
    return {"pure": False, "retries": RETRIES, "workers": [worker], "allow_other_workers": True}
