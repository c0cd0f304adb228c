"""Profiles and overrides, by the names of the package ``profiles`` that came with covertreex 0.4.x.

covertreex 0.4.x installed it at the top level, where its general name can collide with other packages. Here it is
inside the package. The profiles are :data:`covertreex.runtime.PROFILES`, with all settings of covertreex 0.4.x.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._settings import PROFILES
from . import runtime
from .model import RuntimeModel, with_paths

__all__ = [
    "OverrideError",
    "ProfileDefinition",
    "ProfileError",
    "ProfileFormatError",
    "ProfileMetadata",
    "ProfileNotFoundError",
    "apply_overrides_to_model",
    "available_profiles",
    "load_profile",
    "load_profile_definition",
    "parse_override_expression",
    "parse_override_expressions",
]


class ProfileError(RuntimeError):
    """A profile cannot be had."""


class ProfileNotFoundError(ProfileError):
    """There is no profile of a name."""


class ProfileFormatError(ProfileError):
    """A file is not a profile. Profiles are not files here, so nothing raises it."""


class OverrideError(ValueError):
    """An override is not ``path=value``, or its path is unknown."""


@dataclass(frozen=True)
class ProfileMetadata:
    """The purpose of a profile."""

    name: str
    description: str
    workload: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProfileDefinition:
    """A profile."""

    metadata: ProfileMetadata
    model: RuntimeModel
    path: Path | None = None  #: None: profiles are not files here


def available_profiles() -> tuple[str, ...]:
    """The names of all profiles, sorted."""
    return tuple(sorted(PROFILES))


def load_profile_definition(name: str) -> ProfileDefinition:
    """A profile, with what it is for. The case of its name, and an ending ".yaml", do not matter.

    Raises
    ------
    ProfileNotFoundError
        For another name.
    """
    try:
        chosen = runtime.Runtime.from_profile(name)
    except ValueError as error:
        raise ProfileNotFoundError(str(error)) from None
    known = PROFILES[runtime.profile_name(name)]
    metadata = ProfileMetadata(
        known.name, known.purpose, "residual" if known.config.metric == "residual_correlation" else "general"
    )
    return ProfileDefinition(metadata, chosen.to_model(RuntimeModel()))


def load_profile(name: str) -> RuntimeModel:
    """The settings of a profile; see :func:`load_profile_definition`."""
    return load_profile_definition(name).model


def parse_override_expression(expression: str) -> tuple[str, Any]:
    """Split ``path=value``, and read the value: a number, true, false, null, a list or mapping as JSON, or a text."""
    path, sign, text = expression.partition("=")
    if not sign or not path.strip():
        raise OverrideError(f"override: expected path=value, got {expression!r}")
    if text.strip()[:1] in ("[", "{"):
        try:
            return path.strip(), json.loads(text)
        except ValueError:
            raise OverrideError(f"override: expected a list or mapping as JSON, got {text!r}") from None
    return path.strip(), runtime.value_of(text)


def parse_override_expressions(expressions: Iterable[str] | None) -> dict[str, Any]:
    """Split several ``path=value``; of equal paths the last one counts."""
    return dict(parse_override_expression(one) for one in expressions or ())


def apply_overrides_to_model(model: RuntimeModel, overrides: Mapping[str, Any] | None) -> RuntimeModel:
    """A copy of settings with some of them changed, by their paths: ``{"diagnostics.enabled": True}``.

    Raises
    ------
    OverrideError
        For an unknown path, and for a value that a setting cannot have.
    """
    try:
        return with_paths(model, overrides) if overrides else model
    except ValueError as error:
        raise OverrideError(str(error)) from None
