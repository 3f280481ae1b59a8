"""What is fitted: the built-in model `mini` and its match."""
