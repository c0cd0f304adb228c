"""Classes by the names of older packages, built on the rest of covertreex, which does not use them."""
