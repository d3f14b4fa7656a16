"""Every relative link of the Markdown files leads to a file, and to a heading where it names one; and every page and picture
of bench/results is linked."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent


def sources():
    """Not those of packages and checkpoints below build folders."""
    for entry in root.iterdir():
        if not entry.name.startswith((".", "build")):
            yield from [entry] if entry.suffix == ".md" else entry.rglob("*.md")


def text_of(path):
    """Without code, where [](...) is a lambda."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(), flags=re.DOTALL)


def anchors(path):
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


problems, linked, count = [], set(), 0
for source in sources():
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(source)):
        if re.match(r"[a-z]+:", target):
            continue
        count += 1
        name, _, anchor = target.partition("#")
        path = (source.parent / name).resolve() if name else source
        linked.add(path)
        if not path.exists():
            problems.append(f"{source.relative_to(root)}: {target}: there is no such file")
        elif anchor and anchor not in anchors(path):
            problems.append(f"{source.relative_to(root)}: {target}: there is no such heading")
for page in (root / "bench" / "results").rglob("*"):
    if page.suffix in (".md", ".png") and page not in linked:
        problems.append(f"{page.relative_to(root)}: nothing links to it")
if problems or not count:
    sys.exit("\n".join(problems) or "no links found")
print(f"{count} links lead somewhere")
