"""How well predictions did, and how far distributions moved: measures of small arrays."""
