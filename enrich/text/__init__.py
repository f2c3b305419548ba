"""Text: cleaned, its language detected, boilerplate marked, split into tokens.

=================== ================================================================================
cleaning            HTML and text as received → text as shown
spacing             restores spaces that were lost with a line break
boilerplate         lines that do not belong to the news, by known phrases or learned from repetition
boilerplate_history the repeated lines of recent articles, loaded when a worker starts
language            language detection with a score
pieces              words cut into the pieces that models read
tokens              text in the form in which it is matched: tokens, Arabic spelling, stems
word_counts         how often words were counted in the news
=================== ================================================================================
"""
