"""The version of the gateway and the text of `--version-verbose`.

`__version__` is the one source; packaging reads it from here. Package metadata is not asked,
because that import alone costs more than everything else `smg --version` does.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself is not imported: see above
if TYPE_CHECKING:
    from collections.abc import Sequence

__version__ = "0.1.0"


def version_line() -> str:
    """What `smg --version` prints: project name and version."""
    return f"smg {__version__}"


def verbose_version() -> str:
    """The version line and three blocks: build, version control, compiler.

    "unknown" where nothing is known.
    """
    import platform
    import sys
    import sysconfig

    target = sysconfig.get_config_var("HOST_GNU_TYPE") or sysconfig.get_platform()
    branch, commit, status = _git()
    blocks = {
        "Build Information": (
            ("Build Time", _build_time()),
            ("Build Mode", "debug" if sys.flags.dev_mode else "release"),
            ("Platform", str(target)),
        ),
        "Version Control": (("Git Branch", branch), ("Git Commit", commit), ("Git Status", status)),
        "Compiler": (
            ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
            ("Cython", _distribution("cython")),
            ("Event Loop", f"uvloop {_distribution('uvloop')}"),
        ),
    }
    text = [version_line()]
    for title, rows in blocks.items():
        text += ["", f"{title}:", *(f"  {name}: {value}" for name, value in rows)]
    return "\n".join(text)


def _distribution(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def _build_time() -> str:
    """When the compiled modules were written; without any, when this file was."""
    import time
    from pathlib import Path

    package = Path(__file__).parent
    built = [*package.glob("_speedups/*.so"), *package.glob("_speedups/*.pyd")] or [Path(__file__)]
    newest = max(path.stat().st_mtime for path in built)
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(newest))


def _git() -> tuple[str, str, str]:
    """Branch, short commit and clean/dirty when the package runs from its own checkout."""
    import subprocess
    from pathlib import Path

    root = Path(__file__).parent.parent

    def ask(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *words], cwd=root, capture_output=True, text=True, timeout=5, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # Installed in a project's virtual environment, git would answer for that project.
    if not (root / ".git").exists():
        return ("unknown", "unknown", "unknown")
    changes = ask("status", "--porcelain", "--untracked-files=no")
    status = "unknown" if changes is None else "dirty" if changes else "clean"
    return (
        ask("rev-parse", "--abbrev-ref", "HEAD") or "unknown",
        ask("rev-parse", "--short", "HEAD") or "unknown",
        status,
    )


def requested_version(argv: Sequence[str]) -> str | None:
    """The text to print if `argv` asks for a version anywhere.

    Tested before anything else, so bad flags lose.
    """
    if "--version-verbose" in argv:
        return verbose_version()
    return version_line() if "--version" in argv or "-V" in argv else None
