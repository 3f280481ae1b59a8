"""What is measured: each figure of the documentation has its command here."""
