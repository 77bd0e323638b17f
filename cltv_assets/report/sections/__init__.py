"""The report's sections: each turns its facts into words and pictures for its template."""
