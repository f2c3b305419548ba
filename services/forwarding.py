"""The headers with which the gateway forwards a request to ingest: on whose behalf it is."""

# The client by key or address; ingest believes it only with its token.
CLIENT_HEADER = "khabar-client"
# The sources whose articles the client may push and whose feeds it may manage, percent-encoded and separated by ``|``;
# absent: any.
SOURCES_HEADER = "khabar-sources"
