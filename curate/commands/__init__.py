"""The command line. Each command parses its arguments, calls one method of the library and prints the result."""
