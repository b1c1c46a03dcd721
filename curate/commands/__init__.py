"""The command line: parses arguments, calls one function, prints. The only place where curate, train and reports meet."""
