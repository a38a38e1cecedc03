# Compiled for its generators; no C types.
