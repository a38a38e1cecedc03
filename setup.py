"""Lists the compiled modules; everything else about the package is in pyproject.toml."""

import os
import runpy

from Cython.Build import cythonize
from setuptools import Extension, setup

# SMG_CYTHON_DEBUG=1 builds with bounds checks and annotated HTML.
DEBUG = os.environ.get("SMG_CYTHON_DEBUG") == "1"
# SMG_OPTIMIZE=0 compiles in half the time, for builds that nobody runs for long.
LEVEL = "-O" + os.environ.get("SMG_OPTIMIZE", "3")
FLAGS = ["-O0", "-g"] if DEBUG else [LEVEL, "-fno-semantic-interposition"]

lists = runpy.run_path(os.path.join(os.path.dirname(__file__), "smg/_speedups/__init__.py"))
sources = {f"smg._speedups.{name}": f"smg/_speedups/{name}.pyx" for name in lists["MODULES"]}
sources.update({name: name.replace(".", "/") + ".py" for name in lists["TYPED"]})

CORES = os.cpu_count() or 1

setup(
    options={"build_ext": {"parallel": CORES}},
    ext_modules=cythonize(
        [Extension(name, [path], extra_compile_args=FLAGS) for name, path in sources.items()],
        nthreads=CORES if CORES > 1 else 0,
        annotate=DEBUG,
        force=DEBUG,
        compiler_directives={
            "language_level": 3,
            # Only the .pxd sets C types: annotations are for the type checker.
            "annotation_typing": False,
            "embedsignature": True,
        },
    ),
)
