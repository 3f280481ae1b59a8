"""Tests of what is fitted: mini and the match."""
