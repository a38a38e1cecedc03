# Compiled without C types: these classes are mixed with others (metered, traced), which C layouts forbid.
