"""Small numbers that only the report needs, aggregated in the engine, so no rows per customer are collected."""
