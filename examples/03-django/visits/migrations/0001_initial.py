"""The table of the counter. Written by `python manage.py makemigrations visits`."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    # Django reads these lists and never changes them.
    dependencies = []  # noqa: RUF012
    operations = [  # noqa: RUF012
        migrations.CreateModel(
            name="Page",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("path", models.CharField(max_length=200, unique=True)),
                ("visits", models.PositiveBigIntegerField(default=0)),
            ],
        ),
    ]
