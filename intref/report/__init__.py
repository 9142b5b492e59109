"""What a verdict is and how it is told: cases, text, a sealed JSON receipt, JUnit XML. HTML is in `intref.pages`."""
