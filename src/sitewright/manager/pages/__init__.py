"""What all pages share: the frame around them, how errors are told, the words and tones of templates."""
