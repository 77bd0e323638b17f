"""What is shipped: built here as far as possible without the services that it is for."""
