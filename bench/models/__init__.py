"""Our fits and predictions beside those of ``lifetimes`` and ``pymc-marketing``."""
