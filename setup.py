"""Lists the compiled modules; everything else about the package is in pyproject.toml."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

# SMG_CYTHON_DEBUG=1 builds with bounds checks and annotated HTML (one switch, as asyncpg does it).
DEBUG = os.environ.get("SMG_CYTHON_DEBUG") == "1"

MODULES = ["checks", "framing", "head"]

extensions = [
    Extension(
        f"smg._speedups.{name}",
        [f"smg/_speedups/{name}.pyx"],
        extra_compile_args=["-O0", "-g"] if DEBUG else ["-O2"],
    )
    for name in MODULES
]

setup(
    ext_modules=cythonize(
        extensions,
        annotate=DEBUG,
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "embedsignature": True,
        },
    )
)
