"""Customers who come from different places may buy differently: one model for groups of them.

``pooling`` lets each value of one attribute have parameters of its own, drawn towards those of all customers.
``covariates`` lets several attributes move the rates of purchases and dropout together.
"""
