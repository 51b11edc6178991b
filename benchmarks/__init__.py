"""`make bench`: what the product costs, against the least that is possible and against a scan of everything."""
