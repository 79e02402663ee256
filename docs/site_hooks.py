"""What MkDocs can't do by itself: pages for the examples and components, and links that lead out of docs/.

The pages are written for GitHub. There a link to ../examples/kafka works; here it becomes a link to the example's page, and one to any other
file of the repository a link to GitHub. A link to a file that is not there fails the build.
"""

import pathlib
import posixpath
import re

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = "https://github.com/kommo-connect/kommo-connect/{kind}/main/{path}"

# A link's or picture's target, outside of code.
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def examples():
    return sorted(readme.parent.name for readme in ROOT.glob("examples/*/README.md"))


def on_config(config):
    """Puts the examples in the place of "recipes", and the generated pages in that of "reference"."""

    def expand(entries):
        for entry in entries:
            if entry == {"Recipes": "recipes"}:
                yield {"Recipes": [f"recipes/{name}.md" for name in examples()]}
            elif entry == "reference":
                yield from ({page.stem: f"reference/{page.name}"} for page in sorted(ROOT.glob("docs/reference/*.md")))
            elif isinstance(entry, dict):
                yield {title: list(expand(value)) if isinstance(value, list) else value for title, value in entry.items()}
            else:
                yield entry

    config.nav = list(expand(config.nav))
    return config


def on_files(files, config):
    for name in examples():
        files.append(File.generated(config, f"recipes/{name}.md", abs_src_path=str(ROOT / "examples" / name / "README.md")))
    return files


def on_page_markdown(markdown, page, config, files):
    source = pathlib.Path(page.file.abs_src_path).relative_to(ROOT)
    pages = {pathlib.Path(f.abs_src_path): f.src_uri for f in files if f.abs_src_path}

    def target(match):
        link = match.group(1)
        if re.match(r"[a-z]+:", link) or link.startswith("#"):
            return link
        path, _, anchor = link.partition("#")
        file = (ROOT / source.parent / path).resolve()
        if not file.exists() or not file.is_relative_to(ROOT):
            raise PluginError(f"{source}: {link} leads nowhere")
        known = pages.get(file) or pages.get(file / "README.md")
        if known:
            relative = posixpath.relpath(known, posixpath.dirname(page.file.src_uri) or ".")
            return relative + (f"#{anchor}" if anchor else "")
        return SOURCE.format(kind="tree" if file.is_dir() else "blob", path=file.relative_to(ROOT).as_posix())

    parts = CODE.split(markdown)
    parts[::2] = [LINK.sub(target, text) for text in parts[::2]]
    return "".join(parts)
