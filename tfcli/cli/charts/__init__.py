"""Loss curves: what a chart shows, and how a terminal, a picture and a page draw it."""
