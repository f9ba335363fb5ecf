"""Settings of the documentation: Sphinx, MyST for pages, autodoc and Napoleon for docstrings.

Built by ``make docs``, without a network: equations become MathML, fonts are the system's, and
references to other projects stay text.
"""

import dataclasses
import inspect
import io
import json
import re
import sys
import tokenize
from typing import Any, TypeVar

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject

import hcft_jax

project = "hcft_jax"
author = "the hcft_jax authors"
version = release = hcft_jax.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"hcft_jax {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
pygments_style = "default"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
napoleon_use_ivar = True
napoleon_use_rtype = False

# what other projects define is not looked up, so that the site is built without a network
nitpicky = True
autodoc_mock_imports = ["got10k", "trax"]  # of extras
nitpick_ignore_regex = [(r"py:.*", r"(?!hcft_jax\.).*")]


def _comments(cls: type) -> dict[str, str]:
    """Return what stands after ``#`` behind or below each field of a class."""
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):
        return {}
    found: dict[str, str] = {}
    name = ""
    for token in tokenize.generate_tokens(io.StringIO(inspect.cleandoc("\n" + source)).readline):
        if token.type == tokenize.COMMENT and name:
            found[name] = f"{found.get(name, '')} {token.string.lstrip('# ')}".strip()
        elif token.type == tokenize.NAME and (m := re.match(r"    (\w+): ", token.line)):
            name = m[1]
        elif token.type == tokenize.NAME and token.string in ("def", "class"):
            name = ""
    return found


def describe_fields(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Add the fields of a dataclass or named tuple, as its comments and help texts have them."""
    if what != "class" or any(line.startswith("Attributes:") for line in lines):
        return
    if dataclasses.is_dataclass(obj):
        named = {f.name: f.metadata.get("help", "") for f in dataclasses.fields(obj)}
    elif hasattr(obj, "_fields"):
        named = dict.fromkeys(obj._fields, "")
    else:
        return
    comments = _comments(obj)
    texts = {field: text or comments.get(field) for field, text in named.items()}
    # what a help text has of patterns is no markup
    plain = {field: text.replace("*", r"\*") for field, text in texts.items() if text}
    found = [f"    {re.sub('_$', chr(92) + '_', f)}: {text}" for f, text in plain.items()]
    lines += ["", "Attributes:", *found, ""] if found else []


def skip_member(
    app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out fields of named tuples, and in modules what has its entry as a public name."""
    if type(obj).__name__ == "_tuplegetter":
        return True
    if what == "module" and any(obj is getattr(hcft_jax, public) for public in hcft_jax.__all__):
        return True
    return None


def type_variable(app: Sphinx, env: Any, node: Any, text: nodes.TextElement) -> Any:
    """Leave the name of a type variable, which has no entry, as it stands."""
    module, _, name = str(node["reftarget"]).rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    return text if isinstance(found, TypeVar) else None


def visit_math(translator: Any, node: nodes.Element) -> None:
    """Write an equation as MathML, which browsers draw by themselves."""
    block = isinstance(node, nodes.math_block)
    text, *number = re.split(r"\\tag\{(.*?)\}", node.astext())
    formula = tex2mathml(text, as_block=block)
    label = f'<span class="eqno">({number[0]})</span>' if number else ""
    translator.body.append(f'<div class="math">{formula}{label}</div>' if block else formula)
    raise nodes.SkipNode


class Notebook(MystParser):
    """A notebook as a page: its text, its code, and the outputs that are kept in it."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Write the cells as one page of MyST, and parse that."""
        parts = []
        for cell in json.loads(inputstring)["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                parts.append(source)
                continue
            parts.append(f"```python\n{source}\n```")
            for output in cell["outputs"]:
                data = output.get("data", {"text/plain": output.get("text", "")})
                if image := data.get("image/jpeg"):
                    address = f"data:image/jpeg;base64,{''.join(image)}".replace("\n", "")
                    parts.append(f'<img alt="what the cell shows" src="{address}">')
                else:
                    parts.append(f"```text\n{''.join(data['text/plain']).rstrip()}\n```")
        super().parse("\n\n".join(parts), document)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what is above; called by Sphinx."""
    for group in PyObject.doc_field_types:
        if group.name == "variable":
            group.label = "Fields"
    app.connect("autodoc-process-docstring", describe_fields, priority=400)  # before Napoleon
    app.connect("autodoc-skip-member", skip_member)
    app.connect("missing-reference", type_variable)
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(Notebook)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
    return {"parallel_read_safe": True}
