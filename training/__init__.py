"""How the shipped models are made: not part of the installed package, with separate requirements.

============== ===================================================
topics         the Arabic topic model
ordinary_words the words of a language that need no capital
vocabulary     the word list used to split glued words
gazetteer/     the identifiers of known names, checked
ner/           the network that recognises names
vectors/       the table of static vectors
============== ===================================================
"""
