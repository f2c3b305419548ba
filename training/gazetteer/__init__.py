"""The gazetteer's identifiers against other sources.

========= ===============================================
check_ids which identifiers a second source confirms
========= ===============================================
"""
