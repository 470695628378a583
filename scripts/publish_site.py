"""Puts a built documentation site on the branch that a host shows, beside those of other versions.

    python scripts/publish_site.py REMOTE REF

REF is `main`, which becomes `dev/`, or a tag `vX.Y.Z`, which becomes `X.Y/` and, if no newer version is there,
`latest/`. `versions.json` has the format of mike (https://github.com/jimporter/mike), which the theme's list of
versions reads. The first page of the branch leads to `latest/`, or to `dev/` before the first release.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

SITE: Final = Path(__file__).parents[1] / ".cache" / "site"
BRANCH: Final = "gh-pages"
_TAG: Final = re.compile(r"v(\d+)\.(\d+)\.\d+", re.ASCII)
_DEV: Final = "dev"
_LATEST: Final = "latest"

_NOT_PUBLISHED: Final = """<!doctype html><title>Not found</title>
<script>
  const other = location.pathname.replace(/\\/\\d+\\.\\d+\\//, "/{first}/");
  if (other !== location.pathname) location.replace(other + location.hash);
</script>
<p>There is no such page.
"""
"""Errors lead to the pages of their version; one that is not published is that of the first page."""

Version = dict[str, Any]


def main() -> None:
    """Publish."""
    remote, ref = sys.argv[1:]
    name = version_of(ref)
    with tempfile.TemporaryDirectory() as temporary:
        branch = Path(temporary)
        _check_out(remote, branch)
        write_version(branch, SITE, name)
        _git(branch, "add", "--all")
        if _git(branch, "status", "--porcelain"):
            _git(branch, "commit", "--quiet", "--message", f"Site of {ref}")
            _git(branch, "push", "--quiet", remote, f"HEAD:{BRANCH}")


def version_of(ref: str) -> str:
    """Return the folder of a branch or tag; ends the program for a ref that is not published."""
    if ref == "main":
        return _DEV
    tag = _TAG.fullmatch(ref)
    if tag is None:
        sys.exit(f"{ref} is neither main nor a tag vX.Y.Z: there is nothing to publish")
    return f"{tag[1]}.{tag[2]}"


def write_version(branch: Path, site: Path, name: str) -> None:
    """Put a site into the branch's folder."""
    listed = branch / "versions.json"
    versions: list[Version] = json.loads(listed.read_text("utf-8")) if listed.exists() else []
    versions = with_version(versions, name)
    named = next(each for each in versions if each["version"] == name)
    for folder in [name, *named["aliases"]]:
        shutil.rmtree(branch / folder, ignore_errors=True)
        shutil.copytree(site, branch / folder)
    listed.write_text(json.dumps(versions, indent=2) + "\n", "utf-8")
    first = _LATEST if any(each["aliases"] for each in versions) else _DEV
    (branch / "index.html").write_text(
        f'<!doctype html><meta http-equiv="refresh" content="0; url={first}/">\n', "utf-8"
    )
    (branch / "404.html").write_text(_NOT_PUBLISHED.format(first=first), "utf-8")
    (branch / ".nojekyll").touch()


def with_version(versions: list[Version], name: str) -> list[Version]:
    """Return the list with a version, the newest first and `dev` last; the newest release is `latest`."""
    names = sorted({name, *(each["version"] for each in versions)}, key=_age)
    latest = next((each for each in names if each != _DEV), None)
    return [{"version": each, "title": each, "aliases": [_LATEST] if each == latest else []} for each in names]


def _age(name: str) -> tuple[float, ...]:
    return (float("inf"),) if name == _DEV else tuple(-float(number) for number in name.split("."))


def _check_out(remote: str, folder: Path) -> None:
    """Clone the branch, or begin it."""
    _git(folder, "init", "--quiet")
    if _git(folder, "ls-remote", remote, BRANCH):
        _git(folder, "fetch", "--quiet", "--depth", "1", remote, BRANCH)
        _git(folder, "checkout", "--quiet", "-B", BRANCH, "FETCH_HEAD")
    else:
        _git(folder, "checkout", "--quiet", "--orphan", BRANCH)
    _git(folder, "config", "user.name", "kallback")
    _git(folder, "config", "user.email", "kallback@users.noreply.github.com")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout  # noqa: S603 - as above


if __name__ == "__main__":
    main()
