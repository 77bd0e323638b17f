"""The purchase models: how often customers buy and when they stop.

A module here holds a model's likelihood and its predictions, with the integrals it needs. ``registry``
has the protocol that all models follow and finds a model by name. Fits do not belong here.
"""
