"""From counted histories to parameters, with the evidence that they are a maximum."""
