"""Tests of all distributions together, and what every test may use."""
