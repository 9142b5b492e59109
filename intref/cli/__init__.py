"""The command line. No arithmetic and no decision of its own: it reads arguments, calls the library, prints."""
