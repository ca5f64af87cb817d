"""Written by `python manage.py makemigrations visits`."""
