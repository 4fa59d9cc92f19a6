"""Raw text becomes documents, a tokenizer, token shards and batches.

`prepare.prepare` does the whole step once and writes a folder; `dataset.Dataset.open` reads it; `loader.Loader` cuts it
into batches. Text held out by the hash of its content never reaches the tokenizer or the training tokens.
"""
