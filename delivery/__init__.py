"""What turns a checkout into something to deliver, and judges it: wheel, constraints, licences, known vulnerabilities.

Tools of this repository, run by ``make``. Nothing of it is in the wheel, and nothing
here imports ``cltv_assets``.
"""
