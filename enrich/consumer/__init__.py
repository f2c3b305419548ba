"""What Faust's consumer lacks.

============= ============================================================================
positions     a consumer whose positions are verified at each assignment
stall         detects partitions that no longer advance although records wait
arrival_order decides which records wait so that articles come in the order of their arrival
in_order      batches of a stream in that order
============= ============================================================================
"""
