"""The list of tests that are left out."""

from conftest import FOLDER, left_out


def test_reasons_are_in_the_docs():
    page = (FOLDER.parents[2] / "docs" / "sklearn.md").read_text(encoding="utf-8")
    for reason in {reason for _, _, reason in left_out()}:
        assert f"\n| {reason} |" in page
