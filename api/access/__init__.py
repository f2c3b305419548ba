"""Access: who may use the gateway, how much, and from which web page.

======= ===================================
auth    API keys and scopes
limits  what one key or one address may use
origins which web pages may use the gateway
======= ===================================
"""
