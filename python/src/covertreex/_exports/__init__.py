"""Arrays that the library exports without a copy."""
