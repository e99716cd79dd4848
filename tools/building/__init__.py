"""How the project is installed."""
