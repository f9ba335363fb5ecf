"""The file: nothing from outside, nothing hostile from inside."""

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from hcft_jax.evaluation.report import Pictures
from hcft_jax.evaluation.report.encoding import as_json
from tests.evaluation.report.conftest import HOSTILE, Page, Setting


def test_a_hostile_name_is_text(page: Page) -> None:
    # what a browser makes of the file: no element but those of the template
    assert not [of for tag, of in page.elements if tag == "img" or "onerror" in of]
    assert "<img" not in page.text
    assert page.text.count("</script>") == sum(tag == "script" for tag, _ in page.elements)
    assert HOSTILE in {tracker["name"] for tracker in page.content["trackers"]}


@pytest.mark.parametrize("name", ["</script>", "<!--", "]]>", "&lt;", "\u2028", 'a"b\\', "ü"])
def test_json_cannot_leave_its_element(name: str) -> None:
    text = as_json({name: name})
    assert json.loads(text) == {name: name}
    assert not set(text) & set("<>&\u2028")


def test_the_policy_admits_the_pages_own_script_and_style_only(page: Page) -> None:
    (policy,) = (
        of["content"]
        for tag, of in page.elements
        if tag == "meta" and of.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("script", "style"):
        digest = hashlib.sha256(page.contents[name].encode()).digest()
        assert f"{name}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    assert set(re.findall(r"https?://[^\"' ]+", page.text)) == {"http://www.w3.org/2000/svg"}
    assert not [tag for tag, of in page.elements if tag == "link" or of.get("src")]


def test_the_same_evaluation_gives_the_same_bytes(setting: Setting, page: Page) -> None:
    again = setting.page(page.path.with_name("again.html"))
    assert again.text == page.text


def test_without_frames_there_are_boxes_and_no_pictures(setting: Setting, tmp_path: Path) -> None:
    page = setting.page(tmp_path / "r.html", Pictures())
    of = page.sequence("One")
    assert "pictures" not in of
    assert "size" not in of
    assert of["boxes"]["shape"] == [4, 4, 4]
