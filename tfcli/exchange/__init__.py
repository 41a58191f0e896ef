"""The formats of others: Hugging Face folders and GGUF files, tokenizers, in and out."""
