"""What the outputs of a function read: by gradient, by cuts, by changes far apart."""
