"""The form in which posts are written: its fields, its errors, and the key that makes sending it twice harmless."""

import re
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import uuid4

from werkzeug.datastructures import MultiDict

_KEY = re.compile(r"[0-9a-f-]{36}")


def new_key() -> str:
    return str(uuid4())


@dataclass(slots=True)
class PostForm:
    """What is in the fields, and what to say about it."""

    TITLE_LENGTH_MAX: ClassVar[int] = 200
    CONTENT_LENGTH_MAX: ClassVar[int] = 16_000
    """For the browser's own check; the backend decides, and says so beside the field."""

    title: str = ""
    content: str = ""
    key: str = field(default_factory=new_key)
    """Drawn when the form is first shown and sent with it. However often that form arrives, one post comes of it."""

    errors: dict[str, str] = field(default_factory=dict)
    notice: str | None = None

    @classmethod
    def sent(cls, fields: "MultiDict[str, str]") -> "PostForm":
        """The form as a browser sent it. A missing or odd key gets replaced, so that the backend need not object."""
        key = fields.get("idempotency_key", "")
        return cls(fields.get("title", ""), fields.get("content", ""), key if _KEY.fullmatch(key) else new_key())
