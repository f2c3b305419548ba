"""What Faust's consumer lacks.

========= ====================================================================
positions a consumer whose positions are verified at each assignment
stall     detects partitions that no longer advance although records wait
========= ====================================================================
"""
