"""Readers of labelled tracklets, one for each data set, behind `read_data_set`."""
