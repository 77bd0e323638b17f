"""The whole pipeline on each engine, next to a plain pandas notebook: time and memory a stage."""
