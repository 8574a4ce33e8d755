"""What enters and leaves as JSON; nothing here decides anything."""
