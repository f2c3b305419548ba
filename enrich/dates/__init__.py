"""The days an article mentions.

====== ========================================================
finder dates in a text, resolved against the day of publication
====== ========================================================
"""
