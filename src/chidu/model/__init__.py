"""ModelConfig -> Transformer: the forward pass written out, generation, and the door to Hugging Face's format."""
