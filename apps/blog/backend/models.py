"""The tables: posts, and the answers already given to keyed requests. Created by `migrations`, never from here."""

from datetime import datetime
from typing import Any

from colonnade.client import idempotency_table
from sqlalchemy import BigInteger, DateTime, Identity, String, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What `migrations` compares itself with."""


class Post(Base):
    __tablename__ = "posts"
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 — times the database chose come back with RETURNING

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    """Grows, with gaps: a number drawn by a transaction that failed is not given out again."""

    title: Mapped[str] = mapped_column(String(200))
    content: Mapped[str] = mapped_column(Text)
    """Markdown as it was written. Rendering it safely is the frontend's business."""

    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "title": self.title,
            "content": self.content,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }


idempotency_keys = idempotency_table(Base.metadata)
"""The answers already given to keyed requests."""
