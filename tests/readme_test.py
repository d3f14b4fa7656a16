"""Every C++ example of README.md stands in readme_test.cc, line by line, where it is compiled and run."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent


def lines_of(text):
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#include")]


test = "\n".join(lines_of((root / "tests/readme_test.cc").read_text()))
examples = re.findall(r"```cpp\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
if not examples:
    sys.exit("README.md has no C++ example")
for example in examples:
    code = "\n".join(lines_of(example))
    if code not in test:
        sys.exit(f"this example of README.md is not in tests/readme_test.cc:\n{example}")
print(f"{len(examples)} examples of README.md are in tests/readme_test.cc")
