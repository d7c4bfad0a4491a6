"""`python -m bundle [--out DIR]`: write `manifest.yaml` and `components.py`, which need nothing beside each other."""

import argparse
import re
import sys
from pathlib import Path

from bundle.flatten import CannotFlatten, flatten
from bundle.manifest import CannotInline, inlined

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "source_instagram"


def main() -> None:
    """Write the two files, or say why they cannot be."""
    parser = argparse.ArgumentParser(prog="python -m bundle", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="where to (default: dist)")
    out = parser.parse_args().out
    try:
        files = bundle()
    except (CannotFlatten, CannotInline) as error:
        sys.exit(f"No bundle was written. {error}")
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8")
        print(f"{out / name}: {len(text.encode()) / 1024:.0f} KiB, {text.count(chr(10))} lines")


def bundle() -> dict[str, str]:
    """The texts of the two files by their names."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.findall(r'^version = "(.+)"$', project, re.MULTILINE)[0]
    made = f"source-instagram {version}, made by `make bundle`. Change the package, not this file."
    manifest = (PACKAGE / "manifest.yaml").read_text(encoding="utf-8")
    return {
        "manifest.yaml": inlined(manifest, PACKAGE / "schemas", made),
        "components.py": flatten(PACKAGE, "components", made),
    }


if __name__ == "__main__":
    main()
