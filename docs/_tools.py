"""Hooks for MkDocs: pictures of benchmarks, formulas as MathML, which needs no scripts, and docstrings as Markdown."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import griffe
from latex2mathml.converter import convert
from mkdocs.structure.files import File

_FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL
)
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_DOCTEST = re.compile(r"(?:^ *>>>.*\n?)(?:^ *\S.*\n?)*", re.MULTILINE)


def on_files(files: Any, config: Any) -> Any:
    """Add the pictures of the benchmarks, which are outside of the folder of the pages."""
    for path in (Path(config.config_file_path).parent / "benchmarks").glob("*.png"):
        picture = File.generated(
            config, f"pictures/{path.name}", abs_src_path=str(path)
        )
        files.append(picture)
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let pages show these pictures."""
    return markdown.replace("](../benchmarks/", "](pictures/")


def on_page_content(content: str, **_: Any) -> str:
    """Replace formulas by MathML; MkDocs calls this for each page."""
    return _FORMULA.sub(_as_mathml, content)


def _as_mathml(match: re.Match[str]) -> str:
    display = "block" if match[2] == "[" else "inline"
    return convert(html.unescape(match[3]).strip(), display=display)


class Docstrings(griffe.Extension):
    """Turn roles of Sphinx into code, and doctest sessions of modules into blocks."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object, if it has one."""
        if obj.docstring is None:
            return
        text = _ROLE.sub(r"`\1`", obj.docstring.value)
        if obj.is_module:
            text = _DOCTEST.sub(
                lambda session: f"```pycon\n{session[0].rstrip()}\n```\n", text
            )
        obj.docstring.value = text

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Change the docstring of the package, for which `on_object` is not called."""
        self.on_object(obj=pkg)
