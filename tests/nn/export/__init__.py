"""Tests of exported steps."""
