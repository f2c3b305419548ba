"""The days an article mentions.

========== ========================================================
event_days when the event was that an article reports
finder     dates in a text, resolved against the day of publication
========== ========================================================
"""
