"""From files to token ids: readers, the corpus, the SentencePiece tokenizer, the token cache."""
