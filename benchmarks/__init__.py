"""Measurements, run by hand and quoted with their command; none of them is a test."""
