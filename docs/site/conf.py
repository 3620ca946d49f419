"""Sphinx settings of the site (`make site`). Everything is read from disk: no font, script or style
comes from the network, and the pages work when they are opened without a server."""

import re

from docutils.utils.math.latex2mathml import tex2mathml

project = "exmcr"
copyright = "the authors of exmcr, MIT license"
extensions = ["myst_nb"]
exclude_patterns = ["README.md"]
nb_execution_mode = "off"  # the notebooks come executed
nb_ipywidgets_js = {}
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 4
# Outside the repository there is no page for a folder or a license file.
suppress_warnings = ["myst.xref_missing", "myst.header"]
html_theme = "furo"
html_title = "exmcr"
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_math_renderer = "mathml"

# docutils knows no \big; MathML stretches delimiters on its own.
SIZES = re.compile(r"\\[bB]igg?[lrm]?(?![a-zA-Z])")


def _inline(self, node):
    self.body.append(tex2mathml(SIZES.sub("", node.astext())))
    raise _skip()


def _block(self, node):
    self.body.append(tex2mathml(SIZES.sub("", node.astext()), as_block=True))
    raise _skip()


def _skip():
    from docutils.nodes import SkipNode

    return SkipNode()


def setup(app):
    """Formulas become MathML, which browsers draw without a script."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
