"""The pages: widgets and wiring only. What they do is done in the rest of the package."""
