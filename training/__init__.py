"""How the shipped models are made: not part of the installed package, with its own requirements."""
