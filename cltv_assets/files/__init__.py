"""The one way to local folders and object stores."""
