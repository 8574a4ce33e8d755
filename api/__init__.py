"""The REST API: thin shells around ``broker.services``; it records intent and answers."""
