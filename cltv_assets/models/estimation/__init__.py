"""From counted histories to parameters, with the evidence that they are a maximum.

``optimise`` maximises any likelihood; ``fitting`` fits the purchase and spend models with it; ``fits`` is
what comes out. Formulas of a single model belong in ``purchase`` or ``gamma_gamma``.
"""
