"""How the network in ``enrich/recognition/model`` is made.

``corpora`` reads the data, ``encoder`` the multilingual encoder, ``teacher`` fine-tunes it, ``silver`` labels news
with it, ``network`` is the small network, ``student`` trains it, ``export`` writes what is shipped, ``quality``
writes the fine-tuned encoder itself for the quality tier.
"""
