"""What the application answers."""

from django.urls import path, re_path
from visits import views

urlpatterns = [
    path("", views.visits),
    re_path(r"^page/[-\w]{1,100}$", views.visits),  # any page, each counted by itself
    path("livez", views.healthy),
    path("readyz", views.healthy),
]
