# Compiled because every parameter passes it; no C types.
