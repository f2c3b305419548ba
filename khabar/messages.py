"""The messages of the gateway: events as subscribers read them, and control messages."""

from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, ValidationError, create_model

from khabar.errors import Unreadable
from khabar.events import Article, Record, Story, Trend


class ArticleEvent(Record):
    """An article, new or revised. ``cursor`` resumes after this event; ``time`` is when it was published."""

    cursor: str
    type: Literal["article"]
    time: AwareDatetime
    data: Article


class StoryEvent(Record):
    """A story in its new state. ``cursor`` resumes after this event; ``time`` is when it was published."""

    cursor: str
    type: Literal["story"]
    time: AwareDatetime
    data: Story


class TrendEvent(Record):
    """A trend starts, grows or ends. ``cursor`` resumes after this event; ``time`` is when it was published."""

    cursor: str
    type: Literal["trend"]
    time: AwareDatetime
    data: Trend


Event = ArticleEvent | StoryEvent | TrendEvent
EVENTS: dict[str, type[Event]] = {"article": ArticleEvent, "story": StoryEvent, "trend": TrendEvent}


class Subscribed(Record):
    """A subscription is active: events after ``cursor`` that pass ``filter`` will be delivered."""

    type: Literal["subscribed"]
    cursor: str
    filter: dict[str, Any]


class Heartbeat(Record):
    """Sent while there is nothing else to send: everything up to ``cursor`` that passes the filter was delivered."""

    type: Literal["heartbeat"]
    cursor: str


class Pong(Record):
    """The answer to a ping."""

    type: Literal["pong"]


class StreamError(Record):
    """Why a subscription ends, or why an op was rejected.

    ``field`` names the invalid field of the request; ``oldest`` is the cursor to resume with for everything that is
    retained; ``cursor`` is where to resume.
    """

    type: Literal["error"]
    code: str
    message: str
    field: str | None = None
    oldest: str | None = None
    cursor: str | None = None


def read(envelope: dict[str, Any]) -> Event | None:
    """The event in an envelope; None when this version does not know its type. Raises ``Unreadable``."""
    model = EVENTS.get(envelope["type"])
    if model is None:
        return None
    try:
        return model.model_validate(envelope)
    except ValidationError:
        # A newer gateway may have more values for a field, such as another type of entity.
        tolerant = _tolerant(model)
    try:
        event: Event = tolerant.model_validate(envelope)
        return event
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        cause = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise Unreadable(envelope["cursor"], f"the {envelope['type']} cannot be read: {cause}") from None


@cache
def _tolerant(model: Any) -> Any:
    """The model (or another annotation) that allows any string where one of a fixed set is expected."""
    origin = get_origin(model)
    if origin is Literal:
        return str
    if origin in {Union, UnionType}:
        return Union[tuple(map(_tolerant, get_args(model)))]  # noqa: UP007 - made at run time
    if origin is list:
        return list[_tolerant(get_args(model)[0])]  # type: ignore[misc] # made at run time
    if not (isinstance(model, type) and issubclass(model, Record)):
        return model
    changed: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        annotation: Any = field.annotation
        if (tolerant := _tolerant(annotation)) != annotation:
            changed[name] = (tolerant, ... if field.is_required() else field.default)
    return create_model(model.__name__, __base__=model, **changed) if changed else model
