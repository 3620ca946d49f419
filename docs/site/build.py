"""`make site`: pages of the executed notebooks and of docs/ in build/site, made without a network.

The notebooks are those that the run executed (reports/notebooks); one that was not executed there,
or all with --toy, is executed on the toy corpus. Sounds and turnable shapes live on in the pages.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOY = ROOT / "build/site-notebooks"
PLOTLY = "application/vnd.plotly.v1+json"
PAGES = ("docs", "benchmarks/RESULTS.md", "CONTRIBUTING.md", "CHANGELOG.md")
# A relative link of Markdown to a file of code: [text](path).
CODE_LINK = re.compile(r"\]\(([\w./-]+\.(?:py|yaml|toml))\)")
LANGUAGE = {".py": "python", ".yaml": "yaml", ".toml": "toml"}


def executed(name: str, run: Path | None) -> Path:
    """The copy of a notebook that a run executed; without one it is executed on the toy corpus."""
    if run and (run / f"{name}.ipynb").is_file():
        return run / f"{name}.ipynb"
    import papermill

    TOY.mkdir(parents=True, exist_ok=True)
    path, quiet = TOY / f"{name}.ipynb", ["--IPKernelApp.log_level=50"]
    source = ROOT / "notebooks" / f"{name}.ipynb"
    print(f"{name} is executed on the toy corpus")
    papermill.execute_notebook(
        source, path, kernel_name="python3", cwd=ROOT, progress_bar=False, extra_arguments=quiet
    )
    return path


def alive(notebook) -> None:
    """Turn plotly figures, which a browser cannot draw from JSON alone, into HTML with a script.

    plotly.js is a file of the site, loaded once per page.
    """
    count = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PLOTLY in data:
                output["data"] = {"text/html": _figure(data[PLOTLY], count)}
                count += 1


def _figure(figure: dict, number: int) -> str:
    load = '<script src="../_static/plotly.min.js"></script>' if number == 0 else ""
    parts = ", ".join(
        # A closing tag inside a string would end the script.
        json.dumps(part).replace("</", "<\\/")
        for part in (figure["data"], figure["layout"], {"responsive": True})
    )
    frames = json.dumps(figure.get("frames", [])).replace("</", "<\\/")
    height = figure["layout"].get("height", 450)
    name = f"plotly-{number}"
    return (
        f'{load}<div id="{name}" style="height:{height}px"></div><script>'
        f'Plotly.newPlot("{name}", {parts}).then(() => Plotly.addFrames("{name}", {frames}));'
        "</script>"
    )


def without_parameters(notebook) -> None:
    """Leave out the cell that papermill adds."""
    kept = [c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    notebook.cells = kept


def with_code_pages(text: str, folder: Path, source: Path) -> str:
    """Point links to files of code to pages that show them, and make these pages.

    folder: that of the page, relative to the repository; source: that of all sources of pages.
    """

    def page(link: re.Match) -> str:
        path = (ROOT / folder / link[1]).resolve()
        if not path.is_file() or not path.is_relative_to(ROOT):
            return link[0]
        name = path.relative_to(ROOT)
        shown = source / "code" / f"{name}.md"
        shown.parent.mkdir(parents=True, exist_ok=True)
        fence = f"````{LANGUAGE[path.suffix]}\n{path.read_text(encoding='utf-8')}````\n"
        shown.write_text(f"# {name}\n\n{fence}", encoding="utf-8")
        up = "../" * len(folder.parts)
        return f"]({up}code/{name}.md)"

    return CODE_LINK.sub(page, text)


def collect(run: Path | None, source: Path) -> None:
    """Gather the sources of the pages in a folder, laid out as in the repository, so that links
    hold."""
    shutil.rmtree(source, ignore_errors=True)
    (source / "_static").mkdir(parents=True)
    for page in PAGES:
        files = (ROOT / page).glob("*.*") if (ROOT / page).is_dir() else [ROOT / page]
        for file in files:
            target = source / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    for picture in (ROOT / "benchmarks").glob("*.png"):
        shutil.copyfile(picture, source / "benchmarks" / picture.name)
    shutil.copyfile(HERE / "index.md", source / "index.md")
    shutil.copyfile(HERE / "site.css", source / "_static/site.css")
    for page in list(source.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(
            with_code_pages(text, page.parent.relative_to(source), source), encoding="utf-8"
        )
    _copy_plotly(source)
    _collect_notebooks(run, source)


def _copy_plotly(source: Path) -> None:
    import plotly

    script = Path(plotly.__file__).parent / "package_data/plotly.min.js"
    shutil.copyfile(script, source / "_static/plotly.min.js")


def _collect_notebooks(run: Path | None, source: Path) -> None:
    folder = source / "notebooks"
    folder.mkdir()
    for original in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(executed(original.stem, run), as_version=4)
        without_parameters(notebook)
        alive(notebook)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = with_code_pages(cell.source, Path("notebooks"), source)
        nbformat.write(notebook, folder / original.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notebooks", type=Path, default=ROOT / "reports/notebooks")
    parser.add_argument("--toy", action="store_true", help="execute all on the toy corpus")
    parser.add_argument("--out", type=Path, default=ROOT / "build/site")
    options = parser.parse_args()
    site = options.out.resolve()
    source = site.with_name(f"{site.name}-source")
    collect(None if options.toy else options.notebooks, source)
    shutil.rmtree(site, ignore_errors=True)
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-c", HERE, "-b", "html"]
    static = ["-D", f"html_static_path={source / '_static'}"]
    status = subprocess.run([*sphinx, *static, source, site], cwd=ROOT).returncode
    if status == 0:
        print(f"{site / 'index.html'}: open it in a browser")
    sys.exit(status)


if __name__ == "__main__":
    main()
