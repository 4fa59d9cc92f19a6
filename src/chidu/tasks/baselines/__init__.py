"""The simplest methods, one small file each: what a model has to beat before it is worth its price."""
