"""What the application answers."""

from django.urls import path
from visits import views

urlpatterns = [
    path("", views.visits),
    path("livez", views.healthy),
    path("readyz", views.healthy),
]
