"""How the network in ``enrich/entities/recognition/model`` is made.

======= ==================================================
corpora reads the training data
encoder the multilingual encoder
teacher fine-tunes the encoder
silver  labels news with it
network the small network that is shipped
student trains the small network
export  writes the shipped model
quality writes the fine-tuned encoder for the quality tier
======= ==================================================
"""
