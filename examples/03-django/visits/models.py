"""One row per page, with how often it was asked for."""

from django.db import models


class Page(models.Model):
    path = models.CharField(max_length=200, unique=True)
    visits = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.path}: {self.visits}"
