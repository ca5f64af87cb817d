"""The tables: posts, and the answers already given to keyed requests. Created by `migrations`, never from here."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Identity, Index, LargeBinary, SmallInteger, String, Text, func
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


class IdempotencyKey(Base):
    """One keyed request and the answer it got. Exists if and only if the write it stands for was committed."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_expires_at", "expires_at"),)

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[str] = mapped_column(Text)
    """The JSON that was sent, byte for byte."""

    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    replayed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
