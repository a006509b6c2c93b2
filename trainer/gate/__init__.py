"""The gate: is a candidate more faithful than the champion beyond doubt? Pure functions, apart from the commands."""
