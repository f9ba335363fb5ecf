"""The site is built strictly, has every public name, and agrees with what is stated elsewhere."""

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hcft_jax
from tests.docs.blocks import ROOT

needs_sphinx = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("sphinx", "myst_parser", "furo")),
    reason="Sphinx, MyST or furo is not installed: pip install 'hcft_jax[docs]'",
)
NAMES = [name for name in hcft_jax.__all__ if name != "__version__"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, in a process of its own: Sphinx changes what Python warns of."""
    folder = tmp_path_factory.mktemp("site")
    strict = [
        "-m",
        "sphinx",
        "--fail-on-warning",
        "--keep-going",
        "-q",
        "-d",
        str(folder / "trees"),
    ]
    done = subprocess.run(
        [sys.executable, *strict, "docs", str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return folder / "html"


@needs_sphinx
def test_the_site_is_built_without_a_warning_and_has_every_public_name(site: Path) -> None:
    pages = [path.read_text(encoding="utf-8") for path in (site / "api").glob("*.html")]
    without = [name for name in NAMES if not any(f'id="hcft_jax.{name}"' in p for p in pages)]
    assert without == []


@needs_sphinx
def test_the_site_needs_no_network(site: Path) -> None:
    loading = re.compile(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//[^"]*"')
    for page in site.rglob("*.html"):
        assert loading.findall(page.read_text(encoding="utf-8")) == [], page.name


@needs_sphinx
def test_equations_are_drawn_by_the_browser_alone(site: Path) -> None:
    method = (site / "method.html").read_text(encoding="utf-8")
    assert method.count('<span class="eqno">') == 8
    assert "\\frac" not in method


def test_every_module_of_the_library_is_in_the_reference() -> None:
    pages = (ROOT / "docs" / "api" / "modules").glob("*.rst")
    found = set(re.findall(r"automodule:: (\S+)", "".join(p.read_text() for p in pages)))
    files = (ROOT / "hcft_jax").glob("*/**/*.py")
    modules = {".".join(p.relative_to(ROOT).with_suffix("").parts) for p in files}
    assert found == {name for name in modules if not name.rpartition(".")[2].startswith("__")}


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_says_what_it_is_and_what_it_takes(name: str) -> None:
    thing = getattr(hcft_jax, name)
    text = inspect.getdoc(thing) or ""
    assert len(text) > 20
    assert not text.startswith(f"{name}(")  # made by dataclasses
    if not inspect.isfunction(inspect.unwrap(thing)):
        return
    parameters = inspect.signature(inspect.unwrap(thing)).parameters
    assert not re.match(r"(The|A|An|What|How|Whether|Itself)\b", text), "begin with a verb"
    described = set(re.findall(r"^\s+\*{0,2}(\w+)(?: \(.*\))?:", text, re.MULTILINE))
    unsaid = [p for p in parameters if p not in described and p not in text]
    assert unsaid == []
    takes_arrays = any("Array" in str(p.annotation) for p in parameters.values())
    assert not takes_arrays or "``[" in text or "``(" in text or "(x, y, w, h)" in text


def test_readme_and_workspace_are_short() -> None:
    readme, workspace = ((ROOT / name).read_bytes() for name in ("README.md", "WORKSPACE.md"))
    assert readme.count(b"\n") <= 150
    assert len(readme) <= 10_000
    assert workspace.count(b"\n") <= 150


def test_the_links_of_the_documents_lead_somewhere() -> None:
    for name in ("README.md", "WORKSPACE.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target, _ in re.findall(r"\]\((?!https?:)([^)#]+)(#[^)]*)?\)", text):
            assert (ROOT / target).exists(), f"{name}: {target}"


def test_the_version_is_stated_once() -> None:
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited is not None
    assert cited[1] == hcft_jax.__version__
    assert f"{hcft_jax.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    stated = re.compile(r"""version["']?\]?\s*=\s*["']\d""")
    for name in ("pyproject.toml", "setup.py", "docs/conf.py", "hcft_jax/__init__.py"):
        assert not stated.search((ROOT / name).read_text()), name


def test_the_workflows_call_what_the_project_runs() -> None:
    workflows = ROOT / ".github" / "workflows"
    assert "run: .ci/run" in (workflows / "tests.yml").read_text()
    assert "run: make docs" in (workflows / "docs.yml").read_text()
