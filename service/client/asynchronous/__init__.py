"""The client for an event loop. Every module here is generated from its twin in `service.client.synchronous`."""
