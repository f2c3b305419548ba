"""Access: who may ask, how much, and from which page.

======= ===================================
auth    API keys and scopes
limits  what one key or one address may use
origins which web pages may use the gateway
======= ===================================
"""
