"""What runs when somebody searches: the library, its command line, its HTTP service and its page."""
