"""Generation: a request, the sampling of a token, the engines that compute logits, text out."""
