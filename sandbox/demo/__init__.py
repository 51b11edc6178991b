"""The demo: the whole job on a generated fleet, six steps, each proved against the fleet's own truth.

`story` tells the steps, `driving` moves the product, `counting` judges the figures, `display` shows them.
"""
