"""The command line: parse, call one function, print. The only place where curate, train and reports meet."""
