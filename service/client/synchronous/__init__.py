"""The client that waits, written by hand. Its twin in `service.client.asynchronous` is generated from these modules.

A module has imports, plain constants, and classes of methods that inherit `Sender`. What both clients share, such as
functions, data classes and sentinels, lies beside it in `service.client`. `make client` writes the twin again.
"""
