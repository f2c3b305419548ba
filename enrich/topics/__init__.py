"""IPTC Media Topics.

========== =================================
classifier topics of an article, with scores
========== =================================
"""
