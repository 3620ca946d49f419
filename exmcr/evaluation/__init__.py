"""How well spaces meet: tasks.py says what is asked, retrieval.py how answers are scored, table.py holds the results."""
