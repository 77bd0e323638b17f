"""Small numbers that only the report needs, aggregated in the engine: no collector brings a row a customer here."""
