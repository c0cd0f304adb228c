"""The stores and vector indexes of arrwDB; :mod:`covertreex.compat` is where they are imported from."""
