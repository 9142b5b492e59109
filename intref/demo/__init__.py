"""Two devices for the demonstration, in C and in Python, one right and one subtly wrong; they use nothing of intref."""
