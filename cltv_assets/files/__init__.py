"""Access to local folders and object stores."""
