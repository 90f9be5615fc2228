"""The demonstration: a stand-in API, sample data, a client that keeps writing, and the demo itself.

Nothing in here is deployed by anybody. It exists so that a migration has something true to move: an
application with its own schema, data shaped like Know Me's, and a client that remembers every write that was
acknowledged.
"""
