"""Trains `mini`, fine-tunes and quantises models, and fits matches and heads; may import eval, data and service."""
